"""What mail systems say when they do not take a message: words, and what they mean.

In these patterns "@" stands for any address and a space for any white space;
".. ?" is a gap within one sentence, forty characters at most. What they are
compared with is in lower case and has no accents (folded() in diagnosis.py).

The first row in which anything is found decides, so what misleads stands
first: a full mailbox is "unavailable", too, and a blocked relay is "rejected".
Each word is of a family of systems, never of one message.
tests/corpus/generality.py tells what is left where a source's own words are taken away.
"""

from __future__ import annotations

from typing import TypeAlias

from worker.mail.reason import Reason

# "{mailbox}" and "{ended}" in the patterns.
MAILBOX = (
    r"(?:user|mail ?box|recipient|account|address|rcpt|e-?mail(?: address)?|username|member"
    r"|addressee)"
)
ENDED = (
    r"(?:disabled|suspended|de-?activated|inactive|closed|locked|frozen|terminated|discontinued"
    r"|cancell?ed|archived|not active|on hold|expired|dormant)"
)
GAP = r"(?:[^.;]|\.(?=\S)){0,40}?"  # ".. ?"

Words: TypeAlias = tuple[tuple[Reason, tuple[str, ...]], ...]

WORDS: Words = (
    (  # A relay that names every cause it can think of.
        Reason.UNKNOWN_DOMAIN,
        (r"account or domain may not exist",),
    ),
    (  # A limit of the host that receives, in the words of one that sends.
        Reason.RATE,
        (
            r"messages with the same message-id",
            r"unusual rate of",
            r"maximum number of connections",
        ),
    ),
    (
        Reason.ACCOUNT_LIMIT,
        (
            r"exceeded the max(?:imum)? (?:e-?mails?|messages?|defers|number)",
            (
                r"(?:daily|hourly|outgoing|outbound) (?:user )?(?:sending|message|mail|e-?mail"
                r"|smtp) (?:quota|limit)"
            ),
            r"(?:send(?:ing)?|submission|outbound|outgoing) (?:limit|quota|rate)s?.. ?exceed",
            (
                r"exceeded (?:your|the|its|a) .. ?(?:sending|submission|outbound|outgoing)"
                r" ?(?:limit|quota|rate)?"
            ),
            r"you have (?:reached|exceeded) (?:a|your|the) ",
            r"mail send limit",
            r"bad outbound sender",
            r"tenant.. ?exceeded",
            r"(?:quota|limite) d'envoi",
            r"envois? (?:limite|depasse)",
            r"message discarded",
        ),
    ),
    (
        Reason.RECIPIENT_RATE,
        (
            r"receiving (?:e-?)?mails? (?:at a rate|too (?:quickly|fast))",
            r"(?:recipient|mailbox|user).. ?(?:rate[- ]limit|too many messages)",
            r"too many (?:messages|mails) (?:for|to) this (?:recipient|user|mailbox)",
        ),
    ),
    (
        Reason.SYSTEM,
        (
            r"insufficient (?:system |disk )(?:storage|space|resources)",
            r"mail system (?:is )?full",
            r"system (?:disk|storage).. ?full",
        ),
    ),
    (  # Whatever it says of the recipient, it says so to everybody at first.
        Reason.SYSTEM,
        (r"gr[ea]y-?list",),
    ),
    (
        Reason.FULL,
        (
            (
                r"(?:mail ?box|inbox|mail ?folder|folder|mail ?drop|user|account|recipient"
                r"|maildir)(?:'s)?.. ?(?:is |are )?(?:almost )?(?:full\b|over ?(?:its |the |their"
                r" )?quota|too full)"
            ),
            r"over[- ]?quota",
            r"quota ?exceed",
            r"shutoffquota",
            r"quota (?:is )?(?:exceed\w*|full|reached|violation|limit)",
            (
                r"(?:exceed\w*|out of|above|over|beyond|exhausted).. ?(?:quota|storage|disk space"
                r"|mail ?box (?:size|space)|allocation)"
            ),
            (
                r"(?:insufficient|not enough|no|lack of) (?:mail ?box |user |storage |free"
                r" )*(?:storage|space|quota|room)\b"
            ),
            (
                r"(?:mail ?box|storage|disk).. ?(?:space not enough|space limit|size limit|limit"
                r" exceeded)"
            ),
            (
                r"(?:mail ?box|inbox|account|recipient|user).. ?exceed\w* .. ?(?:limit|size|space"
                r"|quota)"
            ),
            r"storage (?:limit|allocation)",
            r"mail ?box limit",
            r"boite.. ?(?:pleine|saturee)",
            r"messagerie.. ?(?:pleine|saturee)",
            r"(?:boite|compte|messagerie).. ?depass.. ?(?:limite|taille|espace|stockage)",
            r"n'a(?: plus| pas).. ?(?:de place|d'espace)",
            r"quota.. ?(?:depasse|atteint)",
            r"depass.. ?quota",
            r"espace .. ?insuffisant",
            r"postfach.. ?(?:voll|uberfullt|speicher)",
            r"mailbox (?:ist )?voll",
            r"speicherplatz",
            r"(?:quota|kontingent).. ?(?:uberschritten|erschopft)",
            r"(?:buzon|casilla|bandeja).. ?llen[oa]",
            r"cuota.. ?(?:excedid|superad)",
            r"(?:buzon|casilla|cuenta).. ?sin espacio",
            r"excedi\w* .. ?cuota",
            r"casella.. ?piena",
            r"quota.. ?superata",
            r"caixa.. ?(?:cheia|lotada)",
            r"(?:quota|cota).. ?excedid",
            r"(?:postvak|mailbox).. ?\bvol\b",
            r"skrzynka.. ?(?:pelna|przepelniona)",
            r"переполнен",
            r"недостаточно места",
            r"превышен.. ?квот",
            r"квот.. ?превышен",
            r"邮箱已满",
            r"邮箱空间",
            r"(?:容量|空间)(?:不足|已满|已經滿|已滿)",
            r"容量不足",
            r"いっぱい",
            r"容量.{0,10}(?:超え|オーバー)",
        ),
    ),
    (
        Reason.TOO_BIG,
        (
            (
                r"(?:message|mail|attachment|body|header|content|file).. ?(?<!queue )too (?:large"
                r"|big|long)"
            ),
            r"size.. ?(?:exceed|violat)",
            r"exceed\w* .. ?(?:size|maximum message|message size|octets|bytes)",
            r"(?:maximum|max|allowed|fixed|permitted) .. ?(?:message |mail |e-?mail )?size",
            r"sizelimit",
            r"too large for this",
            r"taille (?:limite|maximale|maximum|du message)",
            r"message.. ?trop (?:gros|volumineux|grand)",
            r"trop lourd",
            r"nachricht.. ?zu gro",
            r"demasiado grande",
            r"troppo grande",
            r"muito grande",
            r"te groot",
        ),
    ),
    (
        Reason.LOOP,
        (
            r"too many (?:hops|received)",
            r"hop count",
            r"hops? exceeded",
            r"(?:mail|routing|forwarding|delivery) loop",
            r"loops? (?:detected|back to)",
            r"loopdetect",
            r"boucle",
        ),
    ),
    (  # A list of what is advertised, and not of who sends.
        Reason.CONTENT,
        (r"\b(?:surbl|uribl)\b", r"\bur[il]s?\b.. ?\b(?:listed|black-?listed)"),
    ),
    (
        Reason.SENDING_IP,
        (
            r"spamhaus",
            r"spamcop",
            r"barracuda(?:central|networks)",
            r"sorbs",
            r"abuseat",
            r"uceprotect",
            r"senderbase",
            r"senderscore",
            r"dnsbl",
            r"\brbl\b",
            r"\bsbl\b",
            r"\bxbl\b",
            r"\bcbl\b",
            r"ahbl",
            r"njabl",
            r"mail-abuse",
            r"cloudmark",
            r"invaluement",
            r"talosintel",
            r"(?:black|block|deny|b) ?-?list(?!ed by recipient)",
            r"(?<!not )\blisted (?:in|on|by|at|as) ",
            (
                r"(?:client|sending|source|connecting|your) (?:host|ip|server|mail server|network"
                r"|mta|computer).. ?(?:reject|block|refus|denied|banned|prohibit|not (?:allow"
                r"|permit|accept))"
            ),
            (
                r"(?:reject|block|refus|den(?:y|ied)|ban)\w* .. ?(?:your|client|source|sending"
                r"|this) (?:ip|host|server|network)"
            ),
            r"banned sending ip",
            (
                r"\bip(?: address)?\b.. ?(?:block|bann?ed|reputation|listed|not allowed|reject"
                r"|denied|refused)"
            ),
            r"(?:block|bloqu|reject|ban)\w*.. ?\bip\b",
            r"adresse ip.. ?(?:bloqu|refus|rejet|interdit|bann)",
            r"listes? noires?",
            r"invalid ip",
            r"reputation",
            r"reverse[- ]?(?:dns|lookup|host|address|mapping|name|ip)",
            r"\bptr\b",
            r"\brdns\b",
            r"no reverse",
            r"missing reverse",
            r"(?:cannot|could not|couldn't|can't) .. ?(?:your hostname|your reverse|ip name)",
            r"messages from .. ?weren't sent",
            r"on our block list",
            r"open (?:relay|proxy)",
            r"dynamic(?:ally)?(?: assigned)? (?:ip|address|host|pool|range)",
            r"dial-?up",
            r"residential",
            r"zombie",
            r"botnet",
            r"bad (?:reputation|behaviou?r)",
            r"incident de spam",
            r"spamming (?:issues|source)",
            r"source of spam",
            r"\b[eh][eh]lo\b.. ?(?:reject|invalid|denied|refused|blocked|not)",
            r"invalid helo",
            r"my name was rejected",
            r"no access from mail server",
            (
                r"not accept(?:ing)? (?:mail|e-?mail|connections?|messages) from (?:your|this"
                r"|dynamic|hosts?|servers?)"
            ),
            r"server access .. ?(?:forbidden|denied)",
            r"may not be mail exchanger",
        ),
    ),
    (
        Reason.FILTERED,
        (
            (
                r"(?:block|reject|refus)\w* by (?:the |this )?(?:recipient|addressee)"
                r"(?! ?(?:'s)? ?(?:e-?mail|mail|domain|server|system|host|mx|gateway|organi|polic))"
            ),
        ),
    ),
    (
        Reason.POLICY,
        (
            r"resolver\.rst\.(?:auth|notauthorized|restricted)",
            r"authrequired",
            r"unauthenticated senders not allowed",
            (
                r"(?:group|list|distribution).. ?(?:permission|not (?:permitted|allowed"
                r"|authori[sz]ed)|restrict|moderat)"
            ),
            r"skupin.{0,160}opravnen",
            r"all recipient addresses rejected",
            r"only subscribers",
            r"internal senders",
            r"open to (?:internal|members)",
            r"restricted to",
            r"only accepts? (?:mail|messages|e-?mail) from",
            r"not (?:a )?member of",
            r"members only",
            r"non-members?",
            r"\bgroupe?s?\b.{0,160}(?:autoris|permis|toestemming|berechtig)",
            r"群組",
            r"グループ",
            r"群组",
        ),
    ),
    (
        Reason.AUTHENTICATION,
        (
            r"dmarc",
            r"\bspf\b",
            r"\bdkim\b",
            r"domainkeys",
            r"sender ?-?id\b",
            r"unauthenticated (?:e-?mail|mail|message)",
            (
                r"(?:sender|message|e-?mail|mail).. ?(?:unauthenticated|not authenticated|fails? to"
                r" pass)"
            ),
            r"authentication (?:check|information|level|result|fail)",
            r"required authentication level",
        ),
    ),
    (
        Reason.RATE,
        (
            (
                r"too many (?:simultaneous |concurrent |open )?(?:connections|messages|e?-?mails"
                r"|sessions|requests|errors|recipients|invalid|unknown|smtp)"
            ),
            r"rate[- ](?:limit|exceed|control|is)",
            r"rate limited",
            r"throttl",
            r"slow down",
            r"too (?:fast|quickly|frequent)",
            r"(?:unusual|unexpected|excessive|high) (?:rate|volume|number|amount)",
            r"frequency",
            r"connection (?:rate|count|limit|frequency)",
            r"limit .. ?connections",
            r"exceeded its quota for sending",
            r"sending too (?:much|many)",
            r"too (?:much|many) mails?\b(?! data)",
            r"maximum .. ?(?:connections|per (?:hour|minute|session))",
            r"trop de (?:connexions|messages|destinataires|mails|courriers)",
            r"zu viele (?:verbindungen|nachrichten|mails)",
            r"demasiad[oa]s (?:mensajes|conexiones)",
            r"temporarily deferred(?! due to unresolv)",
            r"deferred due to (?!unresolv)",
        ),
    ),
    (
        Reason.CONTENT,
        (
            r"\bspam(?!m?er)",
            r"\bspamm(?:y|ing)\b",
            r"spambouncer",
            r"unsolicited",
            r"\bjunk",
            r"bulk (?:e-?)?mail",
            r"\bubes?\b",
            r"\buce\b",
            r"virus",
            r"malware",
            r"infected",
            r"trojan",
            r"phish",
            r"worm\b",
            r"ransom",
            (
                r"(?:illegal|banned|prohibited|dangerous|forbidden|executable|disallowed|blocked"
                r"|unacceptable) (?:attachment|file|content|extension)"
            ),
            (
                r"(?:attachment|content|file|embedded image|url|link|body)s?\b.. ?(?:reject|block"
                r"|refus|denied|prohibit|not (?:allow|permit|accept)|suspicious|banned|restrict"
                r"|violat|unacceptable)"
            ),
            r"banned:",
            r"content (?:filter|policy|matched|scan|inspection|restriction|analysis)",
            r"accepting mail with attachments",
            r"potential security issue",
            r"presents a potential",
            r"security (?:threat|risk)",
            r"suspicious",
            r"likely (?:suspicious|unwanted)",
            r"unwanted",
            r"scored? .. ?points",
            r"message (?:has been |was )?(?:filtered|quarantined)",
            r"mail rejete",
            r"mail rejected\. ?ofr",
            r"indesirable",
            r"pourriel",
            r"contenu.. ?(?:refus|rejet|interdit)",
            r"pieces? jointes?.. ?(?:refus|rejet|interdit|bloqu|non autoris)",
            r"спам",
            r"вирус",
            r"垃圾[邮郵]件",
            r"病毒",
            r"迷惑メール",
            r"ウイルス",
            r"werbung",
            r"correo no deseado",
        ),
    ),
    (
        Reason.SENDER,
        (
            (
                r"sender(?:'s)?(?: e-?mail)?(?: address)?(?: domain)? ?(?:@ )?(?:is |was |has been"
                r" )?(?:reject|refus|denied|not (?:allow|permit|authori[sz]ed|accept|exist|valid"
                r"|found)|invalid|block|unknown|verif)"
            ),
            r"(?:domain|address) of (?:the )?sender",
            r"sender (?:domain|address|verif|filter|callout|callback)",
            (
                r"(?:invalid|bad|unauthori[sz]ed|unknown|unverified|blocked|fake) (?:envelope"
                r" )?(?:sender|from|return path|mail from)"
            ),
            r"mail from:?.. ?(?:reject|denied|not exist|invalid|refus)",
            r"envelope (?:sender|from)",
            r"from: domain",
            (
                r"(?:emetteur|expediteur).. ?(?:invalide|refuse|bloque|inconnu|rejete|interdit"
                r"|non autoris|n'est pas)"
            ),
            r"absender.. ?(?:abgelehnt|ungultig|gesperrt)",
            r"sendasdenied",
            r"send as (?:this|that) sender",
            r"not allowed to send (?:from|as|mail)",
            r"unresolvable .. ?from",
            r"not accepting mail from @",
            r"sending to/from an address",
            r"from (?:header|address|domain).. ?(?:invalid|not|block|missing)",
            r"sender was rejected",
        ),
    ),
    (
        Reason.RELAYING,
        (
            (
                r"relay(?:ing)?(?: access)?(?: is| was)? (?:denied|not (?:permitted|allowed"
                r"|accepted)|prohibited|refused|disallowed)"
            ),
            (
                r"(?:unable|not (?:configured|permitted|allowed|authori[sz]ed)|refus\w*|cannot"
                r"|can't|won't|do(?:es)? not|don't) (?:to )?relay"
            ),
            r"relaying",
            r"not in my list of allowed rcpthosts",
            r"allowed rcpthosts",
            r"rela(?:is|yage) (?:refuse|interdit)",
            r"insecure mail relay",
            r"we do not relay",
            r"no relay",
            r"rejected: not local",
        ),
    ),
    (
        Reason.MOVED,
        (
            r"(?:has|have) moved(?: to)?",
            r"moved (?:to|permanently)",
            r"not our (?:user|customer)",
            r"recipient no longer on server",
            r"(?:new|changed?) .. ?(?:e-?mail )?address",
            r"address.. ?has (?:been )?changed",
            r"user has moved",
            r"please (?:try|use) (?:<)?@",
            r"a change d'adresse",
            r"adresse a change\b",
            r"ne (?:fait plus partie|travaille plus)",
            (
                r"a quitte (?:la |le |l'|notre |ses |son )(?:societe|entreprise|association"
                r"|organisme|etablissement|fonctions|poste)"
            ),
            r"nouvelle adresse",
            r"neue adresse",
            r"nueva direccion",
            r"no longer (?:works|employed|with|here|at this)",
            r"left the (?:company|organi[sz]ation)",
            r"n'est plus (?:employe|dans)",
        ),
    ),
    (
        Reason.FORM,
        (r"malformed address",),
    ),
    (  # Yahoo's words for whoever is not there, too.
        Reason.UNKNOWN_USER,
        (
            r"delivery error: dd",
            r"inesistente o ",
            r"disabled or discontinued",
            r"554\.30",
            r"invalid mailbox",
            r"deactivated (?:mailbox|account|user)",
            r"(?:mailbox|account|user) is (?:inactive|deactivated)",
        ),
    ),
    (  # Carriers whose filters answer so, and leave the recipient out.
        Reason.FILTERED,
        (r"\b5\d\d ?:? : user unknown",),
    ),
    (
        Reason.DISABLED,
        (
            r"{mailbox}s?\b.. ?\b(?:is|has been|was|are|being|temporar\w+|has|been)? ?{ended}",
            r"\b{ended} (?:{mailbox})",
            r"disableduser",
            r"compte.. ?(?:bloque|ferme|suspendu|desactive|cloture|supprime|resilie|inacti)",
            (
                r"boite.. ?(?:archivee|desactivee|fermee|bloquee|suspendue|resiliee|inactive"
                r"|supprimee)"
            ),
            r"(?:adresse|boite|compte).. ?n'est plus active?\b",
            r"(?:casella|account|utente|indirizzo).. ?(?:disabilitat|disattivat|sospes|bloccat)",
            r"(?:konto|postfach|benutzer).. ?(?:gesperrt|deaktiviert|geschlossen)",
            (
                r"(?:cuenta|buzon|usuario|conta|usuario).. ?(?:suspendid|desactivad|desativad"
                r"|deshabilitad|bloquead|inactiv|inativ)"
            ),
            r"заблокирован",
            r"отключен",
            r"неактивен",
            r"已停用",
            r"被禁用",
            r"冻结",
        ),
    ),
    (
        Reason.NOT_ACCEPTING,
        (
            (
                r"(?:does(?:n't| not)|do not|don't|will not|won't) (?:accept|receive) (?:any"
                r" )?(?:incoming )?(?:e-?)?mails?\b"
            ),
            r"not accept(?:ing)? (?:any )?(?:network )?messages",
            r"null ?-?mx",
            r"system not accepting",
            r"never accepts? mail",
            r"no mail (?:is )?accepted",
            r"not (?:capable of|able to) receiv\w* (?:e-?)?mail",
            r"mail exchanger or ip address",
            r"domain.. ?does(?:n't| not) (?:accept|receive)",
        ),
    ),
    (
        Reason.NETWORK,
        (
            r"(?:unexpected|malformed) name server",
            r"name ?server (?:timeout|fail)",
            r"temporar\w+ (?:dns|lookup|name)",
            r"host not found,? try again",
            (
                r"dns (?:query|server|lookup) (?:failed|timeout|error|problem"
                r"|temporar)(?!.{0,40}not found)"
            ),
        ),
    ),
    (
        Reason.UNKNOWN_DOMAIN,
        (
            (
                r"(?:host(?! \S{1,250} (?:said|\[))|domain)(?: ?name)?s?(?: or domain name)?.. ?"
                r"(?:not found|unknown|does(?:n't| not|nt) exist|not exist|not be found"
                r"|couldn't be found|is invalid|not reachable|nicht gefunden)"
            ),
            r"unknown (?:mail )?(?:host|domain)",
            r"no such (?:domain|host)",
            r"(?:unrouteable|unroutable|invalid|illegal|bogus) (?:mail )?(?:domain|host)",
            r"no mail servers?.. ?exist",
            r"domain.. ?no longer registered",
            r"couldn't find any host",
            r"name service error",
            r"nxdomain",
            r"bad destination (?:host|system)",
            r"host unknown",
            r"no (?:mx|mail exchanger|a|dns|valid)(?: or a)? (?:record|host|server)s?",
            r"mx (?:record|lookup).. ?(?:not|fail|no)",
            r"misconfigured mx",
            (
                r"(?:could ?n[o']t|cannot|can't|unable to) (?:be )?(?:resolved?|find) .. ?(?:host"
                r"|domain)"
            ),
            r"@ does not exist$",
            r"[\w-]\.[a-z]{2,8} does not exist",
            r"(?:domaine?|hote|serveur).. ?(?:inconnu|inexistant|introuvable|n'existe|non trouve)",
            r"domain.. ?(?:unbekannt|existiert nicht)",
            (
                r"dominio.. ?(?:inexistente|inesistente|no existe|nao existe|non esiste|desconocid"
                r"|desconhecid|sconosciut|no encontrad|nao encontrad|non trovat)"
            ),
            r"домен.. ?(?:не (?:существует|наиден)|неизвест)",
            r"域名?(?:不存在|无效|無效)",
            r"ドメイン.{0,10}(?:見つかりま|存在しま)",
        ),
    ),
    (
        Reason.UNKNOWN_USER,
        (
            (
                r"{mailbox}s?\b.. ?(?:does(?:n't| not|nt)|do(?:n't| not)|did not|dosn't) (?:seem to"
                r" )?exist"
            ),
            (
                r"{mailbox}s?\b.. ?(?:is |was |are |were )?(?:un-?known|invalid|not (?:exist|found"
                r"|known|valid|available|recogni[sz]ed|registered|listed|defined|local)|unavailable"
                r"|no longer (?:valid|exists?|available|in use|active|here)|non-?exist\w*|undefined"
                r"|unrecogni[sz]ed)"
            ),
            (
                r"{mailbox}s?\b.. ?(?:is|was|are|were)(?:n't| not) (?:be )?(?:a |an )?(?:known"
                r"|valid|registered|local|found|recogni[sz]ed|active|listed)"
            ),
            (
                r"{mailbox}s?\b.. ?(?:couldn't|could not|cannot|can't) be (?:found|located|resolved"
                r"|verified)"
            ),
            (
                r"(?:un-?known|invalid|bad|no such|non-?existent?|unrecogni[sz]ed|no valid"
                r"|incorrect|wrong|undeliverable|unrouteable|unroutable) (?:local |virtual |e-?mail"
                r" |to |destination )?(?:{mailbox}|person|alias|local[- ]part|mailbox|here|to"
                r" address|cpf)"
            ),
            (
                r"(?:no|not a|isn't a|is not a|not) (?:valid |known |registered |local |real"
                r" )?(?:{mailbox})s?\b(?: here)?(?: (?:by that|with that|of that|found|here"
                r"|available|at this|on this|for this))"
            ),
            r"not a (?:valid|known|registered|local) ",
            r"isn't (?:a )?valid",
            r"not (?:known|recogni[sz]ed) (?:here|at this|by)",
            r"no .{0,30}(?:account|mailbox|user) exists",
            r"neexistuje",
            r"okand (?:anvandare|mottagare)",
            r"ukje?nd?t (?:bruger|bruker|mottaker|modtager)",
            r"ne figure pas dans",
            r"n'est plus (?:utilise|valide|actif|active)",
            r"does not identify any user",
            r"unrecogni[sz]ed-?or-?name",
            r"not (?:enrolled|in cp directory)",
            r"bad_?recipient",
            r"badrcptto",
            r"recip(?:ient)?notfound",
            r"recipnotfound",
            r"usernotfound",
            r"nosuchuser",
            r"unknown_?user",
            r"unknownuser",
            r"user ?unkn",
            r"name is not recogni[sz]ed",
            r"recipient (?:name )?not (?:found|recogni[sz]ed)",
            r"not listed in (?:public|domino|name)",
            r"(?:wasn't|was not|not|couldn't be|could not be) found (?:at|in|by|on) ",
            r"no (?:such )?(?:mail ?box|person|one)",
            r"(?:has|have) no (?:mail ?box|account)",
            r"does(?:n't| not) have an? .{0,40}account",
            r"call fwd",
            r"no user",
            r"unknown name",
            r"bad destination mailbox",
            r"ambiguous",
            r"destinataire.. ?(?:inconnu|invalide|introuvable|inexistant|n'existe)",
            (
                r"adresse.. ?(?:invalide|inconnue|inexistante|introuvable|n'existe|incorrecte"
                r"|erronee)"
            ),
            (
                r"(?:boite|compte|utilisateur|messagerie).. ?(?:inexistant|n'existe|inconnu"
                r"|introuvable)"
            ),
            r"n'existe pas",
            r"n'existe plus",
            r"adresse.. ?(?:n'est (?:pas|plus) |non )(?:valide|reconnue|connue|attribuee|utilisee)",
            (
                r"(?:destinataire|utilisateur|compte|boite).. ?(?:n'est pas |non )(?:trouve"
                r"|reconnu|connu|valide)"
            ),
            r"(?:aucune?|pas d[e']) ?(?:boite|compte|utilisateur|destinataire|abonne)",
            (
                r"kein(?:en?)? (?:solche\w* |gultige\w* )?(?:benutzer|empfanger|postfach|konto"
                r"|adressat)"
            ),
            r"nicht im .{0,30}verzeichnis",
            (
                r"(?:empfanger|benutzer|adress(?:e|at)|postfach|konto|mailbox).. ?(?:unbekannt"
                r"|nicht (?:gefunden|bekannt|vorhanden|existiert)|existiert nicht|ungultig)"
            ),
            r"unbekannte?r? (?:benutzer|empfanger|adresse)",
            (
                r"(?:usuario|destinatari[oa]|direccion|buzon|cuenta|endereco|conta|utente|casella"
                r"|indirizzo).. ?(?:desconhecid|desconocid|inexistente|no existe|nao existe|no"
                r" encontrad|nao encontrad|no valid|invalid|sconosciut|inesistente|non esiste|non"
                r" trovat)"
            ),
            (
                r"(?:gebruiker|ontvanger|adres|geadresseerde).. ?(?:onbekend|niet gevonden|bestaat"
                r" niet)"
            ),
            r"niet gevonden",
            r"nieznany (?:uzytkownik|adres)",
            r"nie istnieje",
            r"brak takie",
            r"не (?:существует|наиден)",
            r"нет такого",
            r"неизвестн",
            r"用户不存在",
            r"不存在",
            r"没有找到",
            r"無此",
            r"查无此",
            r"(?:无此|没有此|無此)(?:用户|用戶|收件人|邮箱)",
            r"(?:找不到|未找到)(?:收件|用[户戶]|邮箱|地址)",
            r"存在しま(?:せん|せんでした)",
            r"見つかりません",
            r"宛先不明",
            r"宛先.{0,10}不明",
            r"ユーザ.{0,10}(?:いません|おりません)",
            r"recipient (?:address )?rejected: access denied",
            r"requested action not taken: mail ?box unavailable",
            r"mail ?box unavailable",
        ),
    ),
    (
        Reason.FORM,
        (
            r"syntax",
            r"malformed",
            r"rfc ?-?(?:2822|5322|822|2821|5321)",
            r"not rfc",
            r"8-?bit data",
            r"bare (?:lf|cr|newline)",
            r"line too long",
            r"media error",
            r"(?:duplicate|multiple|invalid|missing|bad) .. ?(?:header|from:|subject:|mime)",
            r"header error",
            r"encoded-word",
            r"command parameter",
            r"(?:improper|bad) sequence",
            r"smtputf8",
            r"internationali[sz]ed",
            r"conversion (?:required|fail)",
        ),
    ),
    (
        Reason.EXPIRED,
        (
            r"retry time(?:out)? (?:not reached|exceeded)",
            r"delai de (?:livraison|remise|distribution|conservation).. ?(?:depasse|expire|ecoule)",
            r"in the queue too long",
            r"(?:message|mail|time|queue\.?) ?expired",
            r"has expired",
            r"delivery time expired",
            (
                r"(?:not|n't) (?:be )?deliver\w* .. ?(?:for|within|in|after) .{0,12}(?:\d|several"
                r"|many)"
            ),
            r"aborted after",
            r"after (?:multiple|several|repeated) (?:retries|attempts)",
            r"giving up",
            r"for the last \d+",
            r"failing for a long time",
            r"not been collected",
        ),
    ),
    (
        Reason.NETWORK,
        (
            (
                r"connect(?:ion)?.. ?(?:timed? ?-?out|refused|reset|lost|closed|dropped|fail|abort"
                r"|error|interrupted)"
            ),
            r"could(?:n't| not) connect",
            r"unable to connect",
            r"cannot connect",
            r"no route",
            r"network (?:is )?(?:unreachable|error)",
            r"lost connection",
            r"time-?out",
            r"timed out",
            r"not respond",
            r"did not (?:accept our|respond)",
            r"is not responding",
            r"host (?:is )?(?:unreachable|down)",
            r"socket",
            r"starttls",
            r"\btls\b",
            r"handshake",
            r"certificate",
            r"dns (?:error|fail|problem)",
            r"communications? failure",
            r"no answer from host",
            r"connexion.. ?(?:refuse|interrompu|impossible|perdu|echou|expire)",
            r"delai.. ?(?:depasse|expire)",
            r"ne repond(?:ait)? pas",
            r"verbindung.. ?(?:verweigert|abgelehnt|unterbrochen|fehlgeschlagen|nicht moglich)",
            r"zeituberschreitung",
            r"conexion.. ?(?:rechazad|perdid|fallid)",
            r"tiempo de espera",
            r"connessione.. ?(?:rifiutat|interrott|fallit|scadut)",
            r"conexao.. ?(?:recusad|perdid)",
        ),
    ),
)

# What means little by itself: asked after the code.
HINTS: Words = (
    (
        Reason.SYSTEM,
        (
            r"system (?:error|problem|fail)",
            r"internal .. ?error",
            r"local (?:error|configuration|problem|delivery fail)",
            r"temporary (?:fail|error|problem)",
            r"disk",
            r"command (?:failed|died|output|line)",
            r"out of memory",
            r"configuration",
            r"service (?:is )?(?:unavailable|not available)",
            r"try (?:it )?(?:again|later)",
            r"unable to (?:contact|open|create|write)",
            r"could(?:n't| not) (?:create|open|write|load)",
            r"transaction failed",
            r"temporairement (?:indisponible|inaccessible)",
            r"erreur (?:interne|temporaire|systeme)",
            r"essaye[rz] (?:plus tard|ulterieurement|de nouveau)",
            r"pipe",
            r"transport",
        ),
    ),
    (
        Reason.UNKNOWN_USER,
        (
            (
                r"(?:recipient|rcpt)s?(?: to)?(?: address)?(?:es)? ?(?:@ )?(?:was |were |is |has"
                r" been )?(?:reject|refus|denied|not accepted)"
            ),
            r"address (?:was )?reject",
            r"undeliverable address",
            r"unrouteable",
            r"undeliverable to",
        ),
    ),
    (
        Reason.POLICY,
        (
            r"polic(?:y|ies)",
            r"not (?:authori[sz]ed|permitted|allowed)",
            r"permission",
            r"restrict",
            r"access denied",
            r"not accept",
            r"administrati",
            r"prohibit",
            r"violat",
            r"protocol",
            r"refus",
            r"denied",
            r"reject",
            r"block",
            r"not wanted",
            r"unwilling",
            r"bann?ed",
        ),
    ),
)
