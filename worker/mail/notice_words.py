"""What notices of mail systems say: that a message failed, waits, or has arrived.

The patterns are for folded text (worker/mail/folding.py), where "@" is any address.
"""

from __future__ import annotations

# Who writes: surely a mail system,
DAEMON = (
    r"mailer[-_ ]?daemon",
    r"mail[-_ ]?delivery",
    r"mail deliver",
    r"mdaemon",
    r"mailerd",
    r"mail[-_ ]?bounce",
    r"mmdf",
    r"smtpd?[-_ ]?gateway",
    r"internet mail",
    r"microsoft exchange",
    r"microsoftexchange",
    r"jetmail system",
    r"postmaster@.{0,60}onmicrosoft",
    r"delivery (?:sub)?system",
    r"mail subsystem",
    r"mail system",
)

# or somebody who may also be a person.
OFFICE = (
    r"post[-_ ]?master",
    r"bounce",
    r"delivery",
    r"root@",
    r"mailadmin",
    r"mail admin",
    r"system admin",
    r"mta[-_.@]",
    r"smtp",
    r"daemon",
    r"mail service",
    r"mailgateway",
    r"mail gateway",
    r"mailsystem",
    r"imss",
    r"^mailer@",
    r"<mailer@",
    r"uucp",
    r"x\.?400",
    r"\bmts@",
    r"officevision",
    r"\brscs\b",
    r"virus",
    r"filter",
    r"guardian",
    r"scan",
    r"e-?safe",
    r"antigen",
    r"norton",
    r"antispam",
    r"gateway",
    # Programs that keep lists.
    r"sympa@",
    r"listserv",
    r"majordomo",
    r"-request@",
    r"[-+](?:admin|owner)@",
)

# How mail systems introduce themselves.
INTRODUCTION = (
    r"this is the .{1,40}(?:mail (?:server|system|delivery)|program) ",
    r"created automatically by (?:the )?mail",
    r"i'm afraid i (?:wasn't|was not) able to deliver",
    r"automatically generated delivery",
)

# That a message did not arrive.
FAILURE = (
    r"undeliver",
    r"not (?:be |been |yet )?(?:be |been )?deliver",
    r"non[- ]?deliver",
    r"un(?:able|successful) (?:to )?(?:be )?(?:deliver|send)",
    r"delivery (?:has )?fail",
    r"fail(?:ed|ure|ing)?[\w ,:()-]{0,30}(?:deliver|recipient|mail|notice|send)",
    (
        r"deliver(?:y|ed|ing)?[\w :,-]{0,40}(?:problem|error|status|report|notif|suspend|delay|fail"
        r"|abort|warning|postpone|unsuccess)"
    ),
    r"return(?:ed|ing)[\w ,:]{0,40} (?:mail|message|sender|to)",
    r"mail (?:system )?error",
    r"mail fail",
    r"failure notice",
    (
        r"(?:could|can|was|were|did|has|have)(?: ?n[o']?t|not)[\w ]{0,20}(?:be )?(?:deliver|sent\b"
        r"|send|reach|relay|accept|process)"
    ),
    r"(?:error|problem|trouble)s?[\w ,]{0,30}(?:deliver|while|sending|occur|with)",
    r"delay",
    r"postponed",
    r"user unknown",
    r"unknown user",
    r"(?:message|mail)[\w ]{0,30}(?:rejected|bounced|blocked|refused)",
    r"rejected:",
    r"bounced",
    r"not (?:been )?(?:sent\b|distributed|transmitted|forwarded|relayed)",
    (
        r"(?:message|mail)[\w ]{0,40}(?:was|been) (?:stopped|isolated|purged|quarantined|blocked"
        r"|deleted|denied)"
    ),
    r"will not reach",
    r"sent[^.]{0,40}contained a virus",
    r"(?:hard|soft) bounce",
    r"address error",
    r"virus (?:found|detected|alert)",
    r"processing error",
    r"invalid (?:user|recipient|address)",
    r"no such user",
    r"unknown address",
    r"following (?:address|recipient)",
    r"expired",
    r"mailbox (?:full|unavailable)",
    # In French, German, Spanish, Italian, Portuguese, Dutch and others.
    r"non[- ](?:remis|distribu|delivr|deliver)",
    (
        r"(?:n'a|n'ont|pas|pu|impossible)[\w ]{0,20}(?:etre |de |d')?(?:remis|delivr|distribu|livr"
        r"|achemin|envoy|transmi|remettre)"
    ),
    (
        r"(?:echec|erreur|impossib\w+)[\w ]{0,25}(?:remise|livraison|distribution|envoi"
        r"|acheminement|delivr|remettre)"
    ),
    r"retourne a l'expediteur",
    r"message[\w ]{0,40}(?:ete )?refuse",
    r"(?:n'a )?pas (?:ete )?(?:diffuse|transmis)",
    r"unzustellbar",
    r"nicht[\w ]{0,20}zugestellt",
    r"zustellung",
    r"konnte[\w ]{0,40}nicht",
    r"fehlgeschlagen",
    r"no se (?:pudo|ha podido|puede|ha entregado)",
    r"no (?:fue |ha sido )?(?:entregad|enviad)",
    r"no entregado",
    r"error de entrega",
    r"entrega fallida",
    r"mancat[oa] (?:recapito|consegna)",
    r"impossibile (?:consegnare|recapitare|inviare)",
    r"non (?:e stat[oa] )?(?:recapitat|consegnat)",
    r"nao (?:foi|pode|podera|e)[\w ]{0,20}(?:entreg|envia)",
    r"falha na entrega",
    r"nao entregue",
    r"niet[\w ]{0,20}(?:bezorg|aflever|verzond)",
    r"onbestelbaar",
    r"nie (?:mogla|zostala|udalo|moze)[\w ]{0,20}(?:dostarcz|doręcz)",
    r"niedostarcz",
    r"не (?:может|была?|было|удалось|удается)[\w ]{0,25}(?:доставлен|доставить)",
    r"недоставлен",
    r"配信(?:不能|でき|エラー|に失敗)",
    r"送信でき",
    r"エラーメール",
    r"届け(?:でき|られ)",
    r"配送でき",
    r"配[送信]され(?:ません|なかった)",
    r"送信を中止",
    r"退信",
    r"无法(?:投递|送达|发送)",
    r"投递失败",
    r"未送达",
    r"無法",
    r"kunde inte",
    r"kunne ikke",
    r"ei voitu",
    r"nelze doruc",
    r"nebyla dorucena",
    r"iletilemedi",
)

# That the system still tries,
DELAY = (
    r"delayed",
    r"delay notification",
    r"warning message only",
    r"warning only",
    r"just a warning",
    r"not yet (?:been )?(?:fully )?deliver",
    r"still (?:pending|waiting)",
    r"attempted again",
    r"not sent yet",
    r"go on trying",
    r"postponed",
    r"attempts will continue",
    r"(?:do|does) not need to (?:resend|be resent)",
    r"advisory-only",
    r"will (?:be retried|continue to (?:try|attempt|be)|keep trying|retry)",
    r"still being retried",
    r"(?:be )?retr(?:y|ied) for",
    r"no action is required",
    r"will (?:automatically )?(?:re)?try (?:again|for|to)",
    r"will retry",
    r"temporar\w+ (?:problem|delay)",
    r"retarde",
    r"differee?",
    r"nouvelles? tentatives?",
    r"tentatives? (?:supplementaires|pendant|ulterieure)",
    r"pour l'instant",
    r"verzoger",
    r"(?:noch|bisher) nicht zugestellt",
    r"versucht es weiter",
    r"wird weiterhin",
    r"retrasad",
    r"se reintentara",
    r"ritard",
    r"atrasad",
    r"vertraag",
)

# and that it does no more.
FINAL = (
    r"giving up",
    r"given up",
    r"gave up",
    r"permanent(?:ly)? (?:error|fail|fatal)",
    r"failed permanently",
    r"fatal error",
    r"has (?:been )?expired",
    r"returned to sender",
    r"will not (?:be )?(?:retr|try)",
    r"aborted after",
    r"not going to try",
)

# That a person writes about a notice.
FORWARDED = (
    r"forwarded message",
    r"message transfere",
    r"message transmis",
    r"original message-----",
    r"message d'origine",
    r"begin forwarded",
    r"mensaje reenviado",
    r"weitergeleitete nachricht",
    r"inoltrato",
    r" wrote:",
    r" a ecrit ?:",
    r" schrieb",
    r" escribio:",
    r"^(?:hi|hello|hey|dear|bonjour|salut|cher|chere|hallo|hola|ciao)\b[\w .'-]{0,30},",
)

# That somebody is away.
VACATION = (
    r"out of (?:the )?office",
    r"on vacation",
    r"on leave",
    r"annual leave",
    r"away from",
    r"i am (?:currently )?(?:away|out)",
    r"i'm (?:away|out)",
    r"will be (?:back|away|out)",
    r"absent",
    r"\bconges?\b",
    r"vacances",
    r"de retour",
    r"abwesen",
    r"urlaub",
    r"ausente",
    r"vacaciones",
    r"assente",
    r"ferie",
    r"afwezig",
    r"vakantie",
)

# That a filter tells its own user what it keeps.
DIGEST = (
    r"(?:quarantine|spam|junk|daily) (?:report|summary|digest|notification)",
    r"rapport (?:quotidien|de quarantaine)",
    r"(?:cliquez|click)[^.]{0,60}(?:liberer|release)",
)

# That a message has arrived,
SUCCESS = (
    r"successful delivery",
    r"(?:success\w*|was|were|been) (?:delivered|relayed)",
    r"a (?:bien )?ete (?:remis|delivre|distribue)",
    r"erfolgreich zugestellt",
)

# and that it has not.
NO_SUCCESS = (
    r"not (?:yet )?(?:be |been )?deliver",
    r"n[o']t be",
    r"fail",
    r"undeliver",
    r"unable",
    r"could not",
    r"delay",
    r"nicht",
    r"pas pu",
)
