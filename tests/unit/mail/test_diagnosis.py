"""Why a recipient was not reached: what systems say, in many words and languages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.mail.diagnosis import REPLY_CODE, reason_of, status_in
from worker.mail.reason import Reason

REPLIES = {
    Reason.UNKNOWN_USER: {
        "Orange": "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient."
        " OFR_416 [416]",
        "La Poste": "550 5.5.0 Adresse destinataire invalide. Invalid recipient. LPN007_416",
        "SFR": "550 5.1.1 <marie@sfr.example>: Recipient address rejected: User unknown",
        "Free": "550 5.1.1 <marie@free.example>: Recipient address rejected: User unknown in"
        " virtual mailbox table (in reply to RCPT TO command)",
        "Gandi": "550 5.1.1 <marie@example.fr>: Recipient address rejected: User unknown in"
        " relay recipient table",
        "in French": "Destinataire inconnu",
        "French, who is not there": "L'utilisateur demandé n'existe pas sur ce serveur",
        "French, no mailbox": "550 Boîte aux lettres inexistante",
        "French, address": "550 5.1.1 Adresse e-mail introuvable",
        "French, account": "550 Compte inconnu",
        "French, recipient": "550 Ce destinataire n\u2019existe pas",
        "French, of Exchange": "L'adresse de messagerie que vous avez entrée est introuvable.",
        "Postfix": "550 5.1.1 <a@x.fr>: Recipient address rejected: User unknown in local"
        " recipient table (in reply to RCPT TO command)",
        "Postfix, undeliverable": "550 5.1.1 <a@x.fr>: Recipient address rejected: undeliverable"
        " address: host mx.x.fr[192.0.2.1] said: 550 5.1.1 no such user",
        "sendmail": "550 5.1.1 <a@x.fr>... User unknown",
        "Exim": "550 Unrouteable address",
        "Exim, Unknown": "550 Unknown user: a@x.fr",
        "qmail": "Sorry, no mailbox here by that name. (#5.1.1)",
        "qmail, vpopmail": "550 sorry, no mailbox here by that name (#5.1.1 - chkuser)",
        "Courier": "550 User unknown.",
        "Dovecot": "550 5.1.1 <a@x.fr> User doesn't exist: a@x.fr",
        "Cyrus": "550-Mailbox unknown. Either there is no mailbox associated with this name or"
        " you do not have authorization to see it. 550 5.1.1 User unknown",
        "Gmail": "550-5.1.1 The email account that you tried to reach does not exist. Please try"
        " double-checking the recipient's email address for typos or unnecessary spaces.",
        "Outlook": "550 5.5.0 Requested action not taken: mailbox unavailable",
        "Exchange": "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
        "Exchange Online": "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient a@x.fr not found"
        " by SMTP address lookup",
        "Exchange Online, at the edge": "550 5.4.1 Recipient address rejected: Access denied."
        " AS(201806281)",
        "Exchange, in words": "The e-mail address you entered couldn't be found.",
        "Yahoo": "554 delivery error: dd This user doesn't have a yahoo.com account"
        " (a@yahoo.example) [0]",
        "Yahoo, not found": "552 1 Requested mail action aborted, mailbox not found",
        "Yahoo, no longer": "554 30 Sorry, your message to a@x.fr cannot be delivered. This"
        " mailbox is disabled (554.30).",
        "iCloud": "550 5.1.1 unknown or illegal alias: a@icloud.example",
        "GMX": "550 Requested action not taken: mailbox unavailable",
        "Domino": "550 a@x.fr User a (a@x.fr) not listed in Domino Directory",
        "Domino, public": "User a@x.fr not listed in public Name & Address Book",
        "GroupWise": "550 Mailbox unavailable or not local",
        "MDaemon": "550 <a@x.fr>, Recipient unknown",
        "Zimbra": "550 5.1.1 <a@x.fr>: Recipient address rejected: x.fr",
        "AOL": "550 MAILBOX NOT FOUND",
        "Proofpoint": "550 5.1.1 User Unknown",
        "Mimecast": "550 Invalid Recipient - https://community.example/docs/DOC-1369#550",
        "Barracuda": "550 No such recipient",
        "hMailServer": "550 Unknown user",
        "an old one": "550 No such user here",
        "Postini": "550 No such user - psmtp",
        "X.400": "The recipient name is not recognized",
        "MAPI": "The recipient name is not recognized. The MTS-ID of the original message is: c=US",
        "VMS": "%MAIL-E-NOSUCHUSR, no such user A at node X",
        "in German": "550 Empfänger unbekannt",
        "in German, of GMX": "550 Benutzer existiert nicht",
        "in German, address": "Die Empfängeradresse ist ungültig: Adresse ungültig",
        "in Spanish": "550 El usuario no existe",
        "in Spanish, recipient": "550 5.1.1 Destinatario desconocido",
        "in Spanish, mailbox": "550 Buzón inexistente",
        "in Italian": "550 5.1.1 Utente sconosciuto",
        "in Italian, of Libero": "550 Destinatario inesistente",
        "in Italian, mailbox": "550 La casella di posta non esiste",
        "in Portuguese": "550 5.1.1 Usuário desconhecido",
        "in Portuguese, of UOL": "550 Endereço não encontrado",
        "in Dutch": "550 Gebruiker onbekend",
        "in Polish": "550 Nieznany użytkownik",
        "in Russian": "550 Пользователь не найден",
        "in Russian, of Mail.ru": "550 Нет такого пользователя",
        "in Russian, mailbox": "550 Почтовый ящик не существует",
        "in Japanese": "550 宛先メールアドレスが見つかりません",
        "in Japanese, of Docomo": "550 Unknown user a@docomo.example 宛先不明",
        "in Japanese, not there": "このメールアドレスは存在しません",
        "in Chinese": "550 用户不存在",
        "in Chinese, of NetEase": "550 收件人地址不存在",
        "in Chinese, mailbox": "查无此人",
    },
    Reason.UNKNOWN_DOMAIN: {
        "Postfix": "Host or domain name not found. Name service error for name=exemple.invalid"
        " type=AAAA: Host not found",
        "Postfix, MX": "Host or domain name not found. Name service error for name=x.example"
        " type=MX: Malformed or unexpected host not found",
        "sendmail": "550 5.1.2 <a@x.example>... Host unknown (Name server: x.example: host not"
        " found)",
        "qmail": "Sorry, I couldn't find any host named x.example. (#5.1.2)",
        "Exim": "all relevant MX records point to non-existent hosts: no such host",
        "Exchange": "550 5.4.4 ROUTING.NoConnectorForAddressType; domain does not exist",
        "Gmail": "DNS Error: DNS type 'mx' lookup of x.example responded with code NXDOMAIN"
        " Domain name not found: x.example",
        "Yahoo": "Unable to deliver message: unknown host",
        "in French": "550 5.1.2 Domaine inexistant",
        "in French, host": "Le serveur du destinataire est introuvable : hôte inconnu",
        "in German": "Domain existiert nicht",
        "in Spanish": "550 El dominio no existe",
        "in Italian": "550 Dominio inesistente",
        "no exchanger": "550 5.4.4 x.example: no MX record found for domain",
    },
    Reason.NOT_ACCEPTING: {
        "null MX": "556 5.1.10 Domain x.example does not accept mail (nullMX)",
        "Postfix": "Domain example.com does not accept mail (nullMX)",
        "RFC 7504": "521 5.3.2 Host does not accept mail",
        "in full": "550 5.3.2 system not accepting network messages",
        "this domain": "This domain does not receive email",
    },
    Reason.MOVED: {
        "to another": "551 5.1.6 User has moved; please try <b@y.fr>",
        "not ours": "551 not our customer",
        "who has left": "550 5.1.6 Mr. Martin has left the company",
        "in French": "550 Ce correspondant a changé d'adresse",
        "in French, new": "Votre correspondant a une nouvelle adresse : b@y.fr",
        "in German": "551 Neue Adresse: b@y.fr",
        "Apple": "550 5.1.6 recipient no longer on server: a@mac.example",
    },
    Reason.DISABLED: {
        "Orange": "550 5.5.0 Le compte du destinataire est bloque. The recipient account is"
        " blocked. OFR_426",
        "La Poste": "550 5.5.0 Boite du destinataire archivee. Archived recipient. LPN007_420",
        "Gmail": "550-5.2.1 The email account that you tried to reach is disabled.",
        "Gmail, inactive": "550 5.2.1 The email account that you tried to reach is inactive.",
        "Postfix": "550 5.2.1 <a@x.fr>: Recipient address rejected: Mailbox is disabled",
        "iCloud": "550 5.1.1 <a@icloud.example>: inactive email address",
        "Exchange": "550 5.2.1 mailbox disabled, not accepting messages",
        "suspended": "550 5.2.1 This account has been suspended",
        "cPanel": "550 Account a@x.fr is suspended",
        "Zoho": "550 5.2.1 Mailbox disabled for this recipient",
        "closed": "550 this mailbox has been closed",
        "AOL": "554 5.2.1 <a@aol.example>: MAILBOX IS DISABLED (in reply to RCPT TO)",
        "Mail.ru": "550 user is terminated",
        "QQ": "550 Mailbox is frozen",
        "in French": "550 Ce compte est suspendu",
        "in French, closed": "550 La boîte aux lettres est fermée",
        "in French, disabled": "550 Boîte désactivée",
        "in German": "550 Konto gesperrt",
        "in German, mailbox": "550 Das Postfach wurde deaktiviert",
        "in Spanish": "550 La cuenta está suspendida",
        "in Portuguese": "550 Conta desativada",
        "in Russian": "550 Аккаунт заблокирован",
        "in Chinese": "550 账号已停用",
    },
    Reason.FULL: {
        "Orange": "552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]",
        "La Poste": "552 5.1.1 Boite du destinataire pleine. LPN007_417",
        "Gmail": "452-4.2.2 The email account that you tried to reach is over quota.",
        "Gmail, since 2023": "552-5.2.2 The recipient's inbox is out of storage space and"
        " inactive.",
        "Yahoo": "552 1 Requested mail action aborted, mailbox is full, over quota",
        "iCloud": "552 5.2.2 <a@icloud.example>: user is over quota",
        "Exchange": "550 5.2.2 STOREDRV.Deliver; mailbox full. The recipient's mailbox is full",
        "Exchange, short": "#554 5.2.2 mailbox full ##",
        "Postfix": "552 5.2.2 <a@x.fr>: Recipient address rejected: Mailbox full",
        "Dovecot": "552 5.2.2 <a@x.fr> Quota exceeded (mailbox for user is full)",
        "Cyrus": "452 4.2.2 Over quota",
        "maildrop": "maildir over quota",
        "Exim": "mailbox is full: retry timeout exceeded",
        "qmail": "550 User is over the quota. You can try again later.",
        "Courier": "554 Message would exceed recipient's quota: quota exceeded",
        "Zimbra": "452 4.2.2 Over quota",
        "sendmail": "452 4.2.2 Insufficient mailbox space",
        "Domino": "Error writing to mailbox: database would exceed its disk quota",
        "no storage": "452 4.2.2 not enough storage space",
        "exceeded": "552 Requested mail action aborted: exceeded storage allocation",
        "in French": "Boîte aux lettres pleine",
        "in French, quota": "552 Le quota de la boîte est dépassé",
        "in French, of Exchange": "La boîte aux lettres du destinataire est saturée",
        "in French, space": "452 Espace disque insuffisant",
        "in German": "552 Postfach voll",
        "in German, of T-Online": "552 5.2.2 Das Postfach des Empfängers ist voll",
        "in Spanish": "552 El buzón está lleno",
        "in Spanish, quota": "552 La cuenta ha excedido su cuota",
        "in Italian": "552 5.2.2 La casella del destinatario è piena",
        "in Portuguese": "552 A caixa postal está cheia",
        "in Dutch": "552 De mailbox is vol",
        "in Polish": "552 Skrzynka odbiorcy jest pełna",
        "in Russian": "552 Почтовый ящик переполнен",
        "in Japanese": "552 メールボックスがいっぱいです",
        "in Chinese": "552 用户邮箱已满",
    },
    Reason.RECIPIENT_RATE: {
        "Gmail": "450-4.2.1 The user you are trying to contact is receiving mail too quickly."
        " Please resend your message at a later time.",
        "Gmail, at a rate": "550-5.2.1 The user you are trying to contact is receiving mail at a"
        " rate that prevents additional messages from being delivered.",
        "Yahoo": "450 User is receiving mail too quickly",
        "Exchange": "450 4.2.1 too many messages for this recipient",
    },
    Reason.TOO_BIG: {
        "Orange": "552 5.3.4 Taille limite du message atteinte OFR_514",
        "Postfix": "552 5.3.4 Message size exceeds fixed limit",
        "Gmail": "552-5.3.4 Your message exceeded Google's message size limits.",
        "Exchange": "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient",
        "sendmail": "552 5.2.3 Message exceeds maximum fixed size (10000000)",
        "qmail": "552 sorry, that message size exceeds my databytes limit (#5.3.4)",
        "in French": "552 Message trop volumineux",
        "in German": "552 Nachricht zu groß",
        "in Spanish": "552 El mensaje es demasiado grande",
    },
    Reason.CONTENT: {
        "Orange": "550 5.2.0 Mail rejete. Mail rejected. ofr_506 [506] (in reply to end of DATA"
        " command)",
        "Free": "550 spam detected (in reply to end of DATA command)",
        "SFR": "550 5.7.1 Message content rejected (in reply to end of DATA command)",
        "Gmail": "550-5.7.1 Our system has detected that this message is likely unsolicited mail.",
        "Gmail, attachment": "552-5.7.0 This message was blocked because its content presents a"
        " potential security issue.",
        "Exchange": "554 5.7.1 Message classified as spam",
        "Rspamd": "554 5.7.1 Spam message rejected",
        "SpamAssassin": "554 5.7.1 Blocked by SpamAssassin",
        "ClamAV": "554 5.7.1 virus Eicar-Test-Signature detected by ClamAV",
        "amavis": "554 5.7.0 Reject, id=12345-01 - BANNED: .exe",
        "attachment": "554 5.7.1 Attachment type .exe not allowed",
        "in French": "550 Message refusé : courrier indésirable",
        "in French, content": "550 5.7.1 Contenu du message refusé",
        "in Spanish": "550 Mensaje rechazado: correo no deseado",
        "phishing": "550 5.7.1 Message rejected as phishing",
        "suspicious": "550 5.7.1 This message has been rejected: suspicious link",
    },
    Reason.SENDING_IP: {
        "Orange": "550 mwinf5c04 ME Adresse IP source bloquee pour incident de spam. Client host"
        " blocked for spamming issues. OFR006_102",
        "Orange, Spamhaus": "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using"
        " Spamhaus OFR_101",
        "La Poste": "554 5.7.1 Client host rejected LPN000_630",
        "SFR": "450 4.7.1 Client host rejected: Service refused due to bad behavior SFR_IN_101",
        "Outlook": "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please"
        " contact your Internet service provider since part of their network is on our block"
        " list (S3140).",
        "Outlook, S3150": "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent."
        " part of their network is on our block list (S3150)",
        "Outlook, banned": "550 5.7.606 Access denied, banned sending IP [192.0.2.1]",
        "Outlook, reputation": "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate"
        " limited due to IP reputation. (S775)",
        "Spamhaus": "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using"
        " zen.spamhaus.org",
        "SpamCop": "554 Your access has been rejected: listed by bl.spamcop.net",
        "Barracuda": "554 5.7.1 http://www.barracudanetworks.com/reputation/?ip=192.0.2.1",
        "UCEPROTECT": "554 5.7.1 blocked using dnsbl-1.uceprotect.net",
        "Gmail": "550-5.7.25 The IP address sending this message does not have a PTR record setup",
        "Yahoo": "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.25, because the"
        " ip is in Spamhaus's list",
        "iCloud": "550 5.7.1 Mail from IP 192.0.2.1 was rejected due to listing in Spamhaus SBL.",
        "no reverse name": "450 4.7.1 Client host rejected: cannot find your reverse hostname,"
        " [192.0.2.1]",
        "HELO": "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
        "in French": "554 Votre adresse IP est bloquée",
        "a name that tells": "550 5.7.1 Mail from dynamic IP addresses is not accepted",
        "T-Online": "554 IP=192.0.2.1 - A problem occurred. Bad reputation",
    },
    Reason.RATE: {
        "Orange": "421 mwinf5c79 ME Trop de connexions, veuillez verifier votre configuration."
        " Too many connections, slow down. OFR005_104 [104]",
        "La Poste": "421 Too many connections, slow down. LPN105_104",
        "SFR": "421 4.7.0 msfrf2604.sfr.example Error: too many errors",
        "Gmail": "421-4.7.28 Gmail has detected an unusual rate of mail originating from your SPF"
        " domain",
        "Gmail, one Message-ID": "421-4.7.28 Gmail has detected this message exceeded its quota"
        " for sending messages with the same Message-ID",
        "Outlook": "451 4.7.652 The mail server [192.0.2.1] has exceeded the maximum number of"
        " connections. (S3115)",
        "Yahoo": "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to"
        " unexpected volume or user complaints",
        "iCloud": "421 4.7.1 Messages to a@icloud.example deferred due to excessive volume",
        "Postfix": "421 4.7.0 mx.x.fr Error: too many connections from 192.0.2.1",
        "Exim": "421 Too many concurrent SMTP connections; please try again later.",
        "in German": "421 Zu viele Verbindungen",
        "throttled": "451 4.7.1 Throttled, please slow down",
        "in Spanish": "421 Demasiadas conexiones",
    },
    Reason.AUTHENTICATION: {
        "Orange": "421 smtp.orange.example [192.0.2.1] Emetteur invalide, Veuillez verifier la"
        " configuration SPF/DNS de votre nom de domaine. Invalid Sender. SPF check failed",
        "La Poste": "571 5.7.1 Message refused, DMARC verification Failed. LPN007_517",
        "La Poste, SPF": "550 5.5.0 SPF: example.org is not allowed to send mail. LPN004_401",
        "Gmail": "550-5.7.26 This mail has been blocked because the sender is unauthenticated.",
        "Gmail, DMARC": "550-5.7.26 Unauthenticated email from example.org is not accepted due to"
        " domain's DMARC policy.",
        "Outlook": "550 5.7.515 Access denied, sending domain x.fr does not meet the required"
        " authentication level.",
        "Exchange": "550 5.7.23 The message was rejected because of Sender Policy Framework"
        " violation",
        "Yahoo": "550 5.7.9 This mail has been blocked because the sender is unauthenticated."
        " Yahoo requires all senders to authenticate with either SPF or DKIM.",
        "iCloud": "554 5.7.1 Your message was rejected due to example.org's DMARC policy.",
        "DKIM": "550 5.7.20 No passing DKIM signature found",
    },
    Reason.SENDER: {
        "Orange": "501 5.1.0 Emetteur invalide. Invalid Sender. OFR004_405 [405]",
        "La Poste": "450 4.1.8 Emetteur invalide. Invalid Sender. LPN007_405",
        "Postfix": "550 5.1.8 <a@x.fr>: Sender address rejected: Domain not found",
        "Postfix, MAIL FROM": "550 5.1.7 <a@x.fr>: Sender address rejected: undeliverable address",
        "Exim": "550 Sender verify failed",
        "callout": "550 sender callout verify: unknown sender",
        "Yahoo": "451 Message temporarily deferred due to unresolvable RFC.5321 from domain.",
        "sendmail": "553 5.1.8 <a@x.fr>... Domain of sender address a@x.fr does not exist",
        "in French": "550 Expéditeur refusé",
        "in German": "550 Absender abgelehnt",
        "Exchange": "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
    },
    Reason.ACCOUNT_LIMIT: {
        "cPanel": "Domain example.org has exceeded the max defers and failures per hour (5/5"
        " (100%)) allowed. Message discarded.",
        "cPanel, mails": "Domain example.org has exceeded the max emails per hour (205/200 (102%))"
        " allowed. Message discarded.",
        "IONOS": "450 Requested mail action not taken: mailbox unavailable. Mail send limit"
        " exceeded.",
        "Google": "550 5.4.5 Daily user sending limit exceeded.",
        "Exchange Online": "550 5.1.90 Your message can't be sent because you've reached your"
        " daily limit for sending: you have reached the limit",
        "Exchange Online, blocked": "550 5.1.8 Access denied, bad outbound sender",
        "Exchange Online, tenant": "550 5.7.705 Access denied, tenant has exceeded threshold",
        "in French": "550 Votre quota d'envoi est atteint",
    },
    Reason.LOOP: {
        "Postfix": "554 5.4.6 Error: too many hops",
        "sendmail": "554 5.4.6 Too many hops 26 (25 max)",
        "qmail": "This message is looping: it already has my Delivered-To line. mail loop (#5.4.6)",
        "Exchange": "554 5.4.14 Hop count exceeded - possible mail loop ATTR34",
        "MX": "mail for x.fr loops back to myself",
        "in French": "554 Boucle de messagerie détectée",
    },
    Reason.RELAYING: {
        "Postfix": "554 5.7.1 <a@x.fr>: Relay access denied",
        "sendmail": "550 5.7.1 <a@x.fr>... Relaying denied",
        "Exchange": "550 5.7.1 Unable to relay",
        "Exim": "550 relay not permitted",
        "qmail": "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        "Exchange Online": "550 5.7.64 TenantAttribution; Relay Access Denied",
    },
    Reason.POLICY: {
        "Exchange, groups": "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup;"
        " authentication required",
        "Exchange, restricted": "550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized",
        "Exchange, a person": "550 5.7.124 Sender not allowed: distribution group not permitted",
        "Google Groups": "550 We're sorry, but you may not have permission to post messages to the"
        " group",
        "Mailman": "550 5.7.1 Post by non-members refused",
        "only some": "550 5.7.1 a@x.fr only accepts mail from known people",
        "in French": "550 5.7.1 Vous n'êtes pas autorisé à écrire à ce groupe. Le groupe n'autorise"
        " que ses membres",
        "by policy": "554 5.7.1 Rejected by local policy",
        "GMX": "554 Reject due to policy restrictions.",
    },
    Reason.NETWORK: {
        "Postfix": "connect to mx.x.fr[192.0.2.1]:25: Connection timed out",
        "Postfix, refused": "connect to mx.x.fr[192.0.2.1]:25: Connection refused",
        "Postfix, lost": "lost connection with mx.x.fr[192.0.2.1] while sending RCPT TO",
        "sendmail": "Deferred: Connection reset by mx.x.fr.",
        "qmail": "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1) could not connect",
        "no route": "connect to mx.x.fr[192.0.2.1]:25: No route to host",
        "names": "Host or domain name not found. Name service error for name=x.fr type=MX: Host"
        " not found, try again",
        "TLS": "TLS is required, but was not offered by host mx.x.fr: Cannot start TLS: handshake"
        " failure",
        "Exchange": "400 4.4.7 The server is not responding",
    },
    Reason.EXPIRED: {
        "Exim": "retry timeout exceeded",
        "Exchange": "550 4.4.7 QUEUE.Expired; message expired",
        "Postfix": "delivery time expired",
        "qmail": "I'm not going to try again; this message has been in the queue too long.",
        "Gmail": "Delivery has been failing for a long time. 46 hours",
    },
    Reason.SYSTEM: {
        "full disk": "452 4.3.1 Insufficient system storage",
        "mail system full": "452 4.3.1 Mail system full",
        "configuration": "550 5.3.5 Local configuration error",
        "for now": "451 4.3.0 Temporary system problem. Please try again later.",
        "greylisting": "451 Greylisted, please try again in 300 seconds",
        "Courier": "432 Service not available",
        "Exchange": "432 4.3.2 STOREDRV.Storage; temporary failure",
        "disk error": "451 4.3.0 Error: queue file write error: disk failure",
        "command": 'Command died with status 1: "/usr/bin/procmail"',
    },
    Reason.FORM: {
        "Gmail, headers": "550-5.7.1 This message is not RFC 5322 compliant. There are multiple"
        " From: headers",
        "bare line ends": "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; message contains bare LF",
        "syntax": "501 5.5.4 Syntax error in parameters",
        "lines": "500 5.5.2 line too long",
        "internationalized": "550 5.6.7 SMTPUTF8 is required, but was not offered by host",
        "8 bits": "554 5.6.3 Conversion required but not supported",
    },
    Reason.FILTERED: {
        "Docomo": "550 : User unknown",
    },
    Reason.UNKNOWN: {
        "nothing": "",
        "white space": " \r\n\t ",
        "a code": "550",
        "thanks": "Merci de votre visite",
        "a number": "1234567890",
        "an address": "<a@x.fr>",
        "signs": "*** --- ###",
    },
}


def _rows() -> dict[str, tuple[str, Reason]]:
    return {
        f"{reason.value}, {name}": (text, reason)
        for reason, replies in REPLIES.items()
        for name, text in replies.items()
    }


@pytest.mark.parametrize(("text", "reason"), _rows().values(), ids=_rows())
def test_reason_of_words(text: str, reason: Reason) -> None:
    """What a reply means is in its words."""
    assert reason_of(text) is reason


# The status that a relay wrote into its report, and what the server itself said.
MISLEADING = {
    "OFR_103: later, with 550": (
        "550 mwinf5c10 ME Service refuse. Veuillez essayer plus tard. OFR_103 [103]",
        "5.0.0",
        Reason.SYSTEM,
    ),
    "LPN001_108: later, with 5.5.0": (
        (
            "550 5.5.0 Service refuse. Veuillez essayer plus tard. service refused, please try"
            " later. LPN001_108"
        ),
        "5.5.0",
        Reason.FORM,
    ),
    "OFR_417: full, with 5.1.1": (
        "552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]",
        "5.1.1",
        Reason.FULL,
    ),
    "OFR_102: our relay, with 5.1.1": (
        "550 5.1.1 Adresse IP source bloquee pour incident de spam. OFR006_102",
        "5.1.1",
        Reason.SENDING_IP,
    ),
    "full, with 550": ("550 Mailbox full", "5.1.1", Reason.FULL),
    "full, with 5.7.1": ("550 5.7.1 The recipient's mailbox is full", "5.7.1", Reason.FULL),
    "nobody, with 4.1.1": ("450 4.1.1 User unknown", "4.1.1", Reason.UNKNOWN_USER),
    "nobody, with 5.7.1": ("550 5.7.1 No such user here", "5.7.1", Reason.UNKNOWN_USER),
    "nobody, with 5.0.0": ("550 5.0.0 user unknown", "5.0.0", Reason.UNKNOWN_USER),
    "nobody, with 552": (
        "552 1 Requested mail action aborted, mailbox not found",
        "5.0.0",
        Reason.UNKNOWN_USER,
    ),
    "cPanel, as of the recipient": (
        (
            "Domain example.org has exceeded the max defers and failures per hour (5/5 (100%))"
            " allowed. Message discarded."
        ),
        "5.1.1",
        Reason.ACCOUNT_LIMIT,
    ),
    "IONOS, as of the recipient": (
        "550 Requested action not taken: mailbox unavailable. Mail send limit exceeded.",
        "5.1.1",
        Reason.ACCOUNT_LIMIT,
    ),
    "S3140, as of nobody": (
        "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. (S3140)",
        "5.1.1",
        Reason.SENDING_IP,
    ),
    "a block list, as unavailable": (
        "550 mailbox unavailable: 192.0.2.1 is listed by Spamhaus",
        "5.1.1",
        Reason.SENDING_IP,
    ),
    "Gmail, 5.2.1 for a rate": (
        (
            "550-5.2.1 The user you are trying to contact is receiving mail at a rate that prevents"
            " additional messages from being delivered."
        ),
        "5.2.1",
        Reason.RECIPIENT_RATE,
    ),
    "Gmail, 4.7.28": (
        (
            "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from"
            " your IP address"
        ),
        "4.7.28",
        Reason.RATE,
    ),
    "Gmail, an attachment with 552": (
        (
            "552-5.7.0 This message was blocked because its content presents a potential security"
            " issue."
        ),
        "5.7.0",
        Reason.CONTENT,
    ),
    "SPF, with 5.1.1": (
        "550 5.1.1 Recipient rejected: SPF check failed",
        "5.1.1",
        Reason.AUTHENTICATION,
    ),
    "greylisting, with 5.7.1": ("450 4.7.1 Recipient rejected: Greylisted", "5.7.1", Reason.SYSTEM),
    "spam, with 5.1.1": ("550 5.1.1 Message rejected as spam", "5.1.1", Reason.CONTENT),
    "virus, with 5.2.2": ("554 5.2.2 virus found", "5.2.2", Reason.CONTENT),
    "too big, with 5.2.2": ("552 5.2.2 Message too large", "5.2.2", Reason.TOO_BIG),
    "who sends is unknown": (
        "550 5.1.1 <return-abc@listes.example.fr>: Sender address rejected: User unknown",
        "5.1.1",
        Reason.SENDER,
    ),
    "who sends has no domain": (
        "550 5.1.8 Domain of sender address does not exist",
        "5.1.2",
        Reason.SENDER,
    ),
    "in reply to MAIL FROM": (
        "host mx.x.fr[192.0.2.1] said: 550 User unknown (in reply to MAIL FROM command)",
        "5.0.0",
        Reason.SENDER,
    ),
    "after MAIL FROM, of Exim": (
        "SMTP error from remote mail server after MAIL FROM:<b@y.fr> SIZE=1: 550 unknown user",
        "5.0.0",
        Reason.SENDER,
    ),
    "in reply to RCPT TO": (
        "host mx.x.fr[192.0.2.1] said: 550 User unknown (in reply to RCPT TO command)",
        "5.0.0",
        Reason.UNKNOWN_USER,
    ),
    "in reply to RCPT TO, of Exim": (
        (
            "SMTP error from remote mail server after RCPT TO:<a@x.fr>: host mx.x.fr [192.0.2.1]:"
            " 550 user unknown"
        ),
        "5.0.0",
        Reason.UNKNOWN_USER,
    ),
    "at the first word": (
        "host mx.x.fr[192.0.2.1] refused to talk to me: 550 mailbox unavailable",
        "4.0.0",
        Reason.SENDER,
    ),
    "a gateway around a server": (
        "5.1.0 - Unknown address error 550-'5.7.1 Mail from 192.0.2.1 blocked using Spamhaus'",
        "5.1.0",
        Reason.SENDING_IP,
    ),
    "a disk that is full": ("452 4.3.1 Insufficient system storage", "5.2.2", Reason.SYSTEM),
    "4.4.7 over a full mailbox": (
        "452 4.2.2 The email account that you tried to reach is over quota",
        "4.4.7",
        Reason.FULL,
    ),
    "a queue that is too long": (
        "I'm not going to try again; this message has been in the queue too long",
        "4.4.1",
        Reason.EXPIRED,
    ),
    "a domain that may come back": (
        (
            "Host or domain name not found. Name service error for name=x.fr type=MX: Host not"
            " found, try again"
        ),
        "5.4.4",
        Reason.NETWORK,
    ),
}


@pytest.mark.parametrize(("text", "status", "reason"), MISLEADING.values(), ids=MISLEADING)
def test_words_go_before_codes(text: str, status: str, reason: Reason) -> None:
    """A code is often wrong, and so is what a relay makes of one."""
    assert reason_of(text, status) is reason


# As RFC 3463, section 3, has them; where nobody says a word.
CODES = {
    "5.1.0": Reason.UNKNOWN_USER,
    "5.1.1": Reason.UNKNOWN_USER,
    "4.1.1": Reason.UNKNOWN_USER,
    "5.1.2": Reason.UNKNOWN_DOMAIN,
    "5.1.3": Reason.UNKNOWN_USER,
    "5.1.6": Reason.MOVED,
    "5.1.7": Reason.SENDER,
    "5.1.8": Reason.SENDER,
    "5.1.10": Reason.NOT_ACCEPTING,
    "5.2.0": Reason.FILTERED,
    "5.2.1": Reason.DISABLED,
    "5.2.2": Reason.FULL,
    "4.2.2": Reason.FULL,
    "5.2.3": Reason.TOO_BIG,
    "5.2.4": Reason.POLICY,
    "4.3.1": Reason.SYSTEM,
    "5.3.2": Reason.NOT_ACCEPTING,
    "4.3.2": Reason.SYSTEM,
    "5.3.4": Reason.TOO_BIG,
    "5.3.5": Reason.SYSTEM,
    "4.4.1": Reason.NETWORK,
    "4.4.2": Reason.NETWORK,
    "5.4.4": Reason.UNKNOWN_DOMAIN,
    "4.4.5": Reason.RATE,
    "5.4.6": Reason.LOOP,
    "4.4.7": Reason.EXPIRED,
    "5.5.2": Reason.FORM,
    "5.6.1": Reason.FORM,
    "5.7.1": Reason.POLICY,
    "5.7.23": Reason.AUTHENTICATION,
    "5.7.25": Reason.SENDING_IP,
    "5.7.26": Reason.AUTHENTICATION,
    "5.7.27": Reason.SENDER,
    "5.7.999": Reason.POLICY,
    "5.0.0": Reason.UNKNOWN,
    "4.0.0": Reason.UNKNOWN,
    "5.9.9": Reason.UNKNOWN,
    "": Reason.UNKNOWN,
    "rubbish": Reason.UNKNOWN,
    "5": Reason.UNKNOWN,
    "5..": Reason.UNKNOWN,
}


@pytest.mark.parametrize(("status", "reason"), CODES.items(), ids=lambda value: f"{value}")
def test_a_code_alone(status: str, reason: Reason) -> None:
    """It says something, unless its detail is none."""
    assert reason_of("", status) is reason


REPLY_CODES = {
    "521": ("521 mx.x.fr", Reason.NOT_ACCEPTING),
    "551": ("551 a@x.fr", Reason.MOVED),
    "552": ("552 a@x.fr", Reason.FULL),
    "556": ("556 a@x.fr", Reason.NOT_ACCEPTING),
    "550": ("550 a@x.fr", Reason.UNKNOWN),
    "550, a status beside it": ("550 5.1.1 a@x.fr", Reason.UNKNOWN_USER),
    "a number of the host's": ("host552.x.fr", Reason.UNKNOWN),
    "an address of the network": ("[10.552.0.1]", Reason.UNKNOWN),
}


@pytest.mark.parametrize(("text", "reason"), REPLY_CODES.values(), ids=REPLY_CODES)
def test_a_reply_code_alone(text: str, reason: Reason) -> None:
    """Some codes of SMTP say why, and most do not."""
    assert reason_of(text) is reason


AFTER_DATA = {
    "nobody, says a filter": ("550 user unknown", "5.0.0", Reason.FILTERED),
    "no such user, says a filter": ("550 no such user", "", Reason.FILTERED),
    "nobody, and the code says so": ("550 5.1.1 user unknown", "5.1.1", Reason.UNKNOWN_USER),
    "spam": ("550 spam", "5.0.0", Reason.CONTENT),
    "full": ("552 5.2.2 mailbox full", "5.2.2", Reason.FULL),
}


@pytest.mark.parametrize(("text", "status", "reason"), AFTER_DATA.values(), ids=AFTER_DATA)
def test_what_is_said_after_data(text: str, status: str, reason: Reason) -> None:
    """A server that has taken the recipient knows them."""
    assert reason_of(text, status, after_data=True) is reason
    if reason is Reason.FILTERED:
        assert reason_of(text, status) is Reason.UNKNOWN_USER


IN_TEXT = {
    "a status": ("550 5.1.1 unknown", "5.1.1"),
    "with its hyphen": ("550-5.7.26 blocked", "5.7.26"),
    "in brackets": ("sorry (#5.1.1)", "5.1.1"),
    "the first one": ("452 4.2.2 full, then 550 5.1.1", "4.2.2"),
    "a reply code": ("554 no", "5.0.0"),
    "a passing one": ("421 later", "4.0.0"),
    "a reply code at the end": ("said: 550", "5.0.0"),
    "a success": ("250 2.0.0 ok", "2.0.0"),
    "none": ("it failed", ""),
    "an address of the network": ("[192.5.1.1] and 5.1.1.9", ""),
    "a year": ("in 1550 or 5500", ""),
    "a class that is none": ("650 3.1.1", ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "status"), IN_TEXT.values(), ids=IN_TEXT)
def test_status_in(text: str, status: str) -> None:
    """The status code, else the class that the reply code has."""
    assert status_in(text) == status


PIECES = (
    *("550", "5.1.1", "4.7.28", "user", "unknown", "mailbox", "full", "is", "not", "exceeded"),
    *("boîte", "pleine", "a@x.fr", "<", ">", "@", ".", ";", " ", "\n", "\0", "é", "\ud800", "用户"),
    *("5.1.0 - Unknown address error 550-'", "connected to", "but", "spam", "(", "\u0301", "ß"),
)
_ANY = st.text() | st.lists(st.sampled_from(PIECES), max_size=80).map(" ".join)


@settings(database=None, deadline=None, derandomize=True, max_examples=200)
@given(_ANY, st.text(max_size=20) | st.sampled_from(["", *CODES]), st.booleans())
def test_any_text_has_a_reason(text: str, status: str, after_data: bool) -> None:  # noqa: FBT001
    """Strangers write what they like."""
    assert reason_of(text, status, after_data=after_data) in Reason
    assert status_in(text)[:1] in ("", "2", "4", "5")


LONG = {
    "letters": "a",
    "at signs": "a@",
    "dots": "5.1.1.",
    "digits": "5",
    "codes": "550 ",
    "mailboxes": "mailbox ",
    "boxes that exceed": "mailbox exceeded ",
    "recipients": "recipient address rejected ",
    "users": "user . ",
    "French": "boîte du destinataire ",
    "gaps": "too ",
    "connected": "connected to ",
    "quoted": "5.1.0 - x ",
    "white space": " ",
    "marks": "e\u0301",
    "ligatures": "\ufdfa",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", LONG.values(), ids=LONG)
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    """A megabyte made to make a pattern backtrack is read like any other text."""
    text = piece * (1_000_000 // len(piece))

    assert reason_of(text, "5.0.0") in Reason
    assert status_in(text)[:1] in ("", "2", "4", "5")
    assert sum(1 for _ in REPLY_CODE.finditer(text)) <= len(text) // 4
