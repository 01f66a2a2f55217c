"""Why a recipient was not reached, in the languages of those who run their servers."""

from __future__ import annotations

import pytest

from worker.mail.diagnosis import reason_of
from worker.mail.reason import Reason

FRENCH = {
    "L'adresse marie@x.fr n'est plus valide": Reason.UNKNOWN_USER,
    "550 Adresse non valide": Reason.UNKNOWN_USER,
    "550 Adresse e-mail non reconnue": Reason.UNKNOWN_USER,
    "550 Adresse erronée": Reason.UNKNOWN_USER,
    "Cette adresse e-mail n'existe plus": Reason.UNKNOWN_USER,
    "Cette adresse n'est plus utilisée": Reason.UNKNOWN_USER,
    "Le destinataire n'est pas connu sur ce serveur": Reason.UNKNOWN_USER,
    "Aucun utilisateur de ce nom": Reason.UNKNOWN_USER,
    "Aucune boîte à ce nom": Reason.UNKNOWN_USER,
    "Destinataire non trouvé": Reason.UNKNOWN_USER,
    "Utilisateur non trouvé": Reason.UNKNOWN_USER,
    "550 5.1.1 Le compte n'existe pas": Reason.UNKNOWN_USER,
    "Pas de boîte à ce nom": Reason.UNKNOWN_USER,
    "550 5.1.1 DESTINATAIRE INCONNU": Reason.UNKNOWN_USER,
    "host mx.x.fr[192.0.2.1] said: 550 Destinataire inconnu": Reason.UNKNOWN_USER,
    "Le nom de domaine n'existe pas": Reason.UNKNOWN_DOMAIN,
    "Nom de domaine inconnu": Reason.UNKNOWN_DOMAIN,
    "Serveur introuvable": Reason.UNKNOWN_DOMAIN,
    "M. Dupont ne fait plus partie de la société": Reason.MOVED,
    "Mme Dupont a quitté l'entreprise": Reason.MOVED,
    "Mme Dupont a quitté ses fonctions": Reason.MOVED,
    "Cette adresse a changé, merci d'utiliser b@y.fr": Reason.MOVED,
    "Cette adresse n'est plus active": Reason.DISABLED,
    "550 Compte clôturé": Reason.DISABLED,
    "550 Ce compte a été supprimé": Reason.DISABLED,
    "550 Boîte résiliée": Reason.DISABLED,
    "550 Boîte aux lettres inactive": Reason.DISABLED,
    "Votre correspondant n'a plus de place dans sa boîte": Reason.FULL,
    "Messagerie pleine": Reason.FULL,
    "La boîte de votre correspondant est pleine": Reason.FULL,
    "La boîte aux lettres a dépassé sa limite de stockage": Reason.FULL,
    "554 5.2.2 Dépassement de quota": Reason.FULL,
    "452 Quota de stockage atteint": Reason.FULL,
    "Message trop lourd": Reason.TOO_BIG,
    "La taille du message dépasse la limite autorisée": Reason.TOO_BIG,
    "Message considéré comme du spam": Reason.CONTENT,
    "Votre message contient un virus": Reason.CONTENT,
    "Pièce jointe interdite": Reason.CONTENT,
    "Pièces jointes refusées": Reason.CONTENT,
    "Votre adresse IP est en liste noire": Reason.SENDING_IP,
    "Adresse IP bloquée": Reason.SENDING_IP,
    "Trop de messages envoyés, réessayez plus tard": Reason.RATE,
    "Échec de la vérification SPF": Reason.AUTHENTICATION,
    "Adresse de l'expéditeur refusée": Reason.SENDER,
    "L'adresse de l'expéditeur n'est pas valide": Reason.SENDER,
    "Domaine de l'expéditeur inconnu": Reason.SENDER,
    "Relais interdit": Reason.RELAYING,
    "Relayage refusé": Reason.RELAYING,
    "Délai de connexion dépassé": Reason.NETWORK,
    "Délai de livraison dépassé": Reason.EXPIRED,
    "Connexion refusée": Reason.NETWORK,
    "Le serveur distant ne répond pas": Reason.NETWORK,
    "Service temporairement indisponible": Reason.SYSTEM,
    "Erreur interne du serveur": Reason.SYSTEM,
    "Veuillez réessayer plus tard": Reason.SYSTEM,
    "Accès refusé": Reason.POLICY,
}
GERMAN = {
    "Der Empfänger existiert nicht": Reason.UNKNOWN_USER,
    "Die Adresse ist nicht vorhanden": Reason.UNKNOWN_USER,
    "Kein solcher Benutzer": Reason.UNKNOWN_USER,
    "Adressat unbekannt": Reason.UNKNOWN_USER,
    "Mailbox nicht gefunden": Reason.UNKNOWN_USER,
    "Domain unbekannt": Reason.UNKNOWN_DOMAIN,
    "Das Konto ist gesperrt": Reason.DISABLED,
    "Das Postfach ist überfüllt": Reason.FULL,
    "Quota überschritten": Reason.FULL,
    "Nachricht als Spam erkannt": Reason.CONTENT,
    "Verbindung verweigert": Reason.NETWORK,
    "Zeitüberschreitung": Reason.NETWORK,
}
SPANISH = {
    "Usuario no encontrado": Reason.UNKNOWN_USER,
    "La dirección no existe": Reason.UNKNOWN_USER,
    "Dominio desconocido": Reason.UNKNOWN_DOMAIN,
    "Cuenta deshabilitada": Reason.DISABLED,
    "Buzón sin espacio": Reason.FULL,
    "Cuota excedida": Reason.FULL,
    "Mensaje demasiado grande": Reason.TOO_BIG,
    "Conexión rechazada": Reason.NETWORK,
    "Tiempo de espera agotado": Reason.NETWORK,
}
ITALIAN = {
    "Utente non trovato": Reason.UNKNOWN_USER,
    "utente inesistente o casella disattivata": Reason.UNKNOWN_USER,
    "L'utente non esiste": Reason.UNKNOWN_USER,
    "Dominio inesistente": Reason.UNKNOWN_DOMAIN,
    "Casella disabilitata": Reason.DISABLED,
    "Account sospeso": Reason.DISABLED,
    "Quota superata": Reason.FULL,
    "Messaggio troppo grande": Reason.TOO_BIG,
    "Connessione rifiutata": Reason.NETWORK,
}
PORTUGUESE = {
    "Usuário não encontrado": Reason.UNKNOWN_USER,
    "A conta não existe": Reason.UNKNOWN_USER,
    "Domínio não existe": Reason.UNKNOWN_DOMAIN,
    "Usuário desativado": Reason.DISABLED,
    "Caixa postal cheia": Reason.FULL,
    "Quota excedida": Reason.FULL,
    "Conexão recusada": Reason.NETWORK,
}
JAPANESE = {
    "ユーザーが見つかりません": Reason.UNKNOWN_USER,
    "該当するユーザーがいません": Reason.UNKNOWN_USER,
    "宛先が不明です": Reason.UNKNOWN_USER,
    "ドメインが見つかりません": Reason.UNKNOWN_DOMAIN,
    "メールボックスの容量を超えています": Reason.FULL,
    "迷惑メールと判定されました": Reason.CONTENT,
    "552 Too much mail data a@docomo.example": Reason.FULL,
}
CHINESE = {
    "收件人不存在": Reason.UNKNOWN_USER,
    "无此用户": Reason.UNKNOWN_USER,
    "找不到收件人": Reason.UNKNOWN_USER,
    "域名不存在": Reason.UNKNOWN_DOMAIN,
    "帐户已被冻结": Reason.DISABLED,
    "邮箱空间不足": Reason.FULL,
    "邮箱容量已满": Reason.FULL,
    "垃圾邮件": Reason.CONTENT,
}
RUSSIAN = {
    "Пользователь не существует": Reason.UNKNOWN_USER,
    "Неизвестный пользователь": Reason.UNKNOWN_USER,
    "Домен не найден": Reason.UNKNOWN_DOMAIN,
    "Учетная запись заблокирована": Reason.DISABLED,
    "Почтовый ящик отключён": Reason.DISABLED,
    "Недостаточно места в почтовом ящике": Reason.FULL,
    "Превышена квота": Reason.FULL,
    "Сообщение отклонено как спам": Reason.CONTENT,
}
LANGUAGES = {
    "French": FRENCH,
    "German": GERMAN,
    "Spanish": SPANISH,
    "Italian": ITALIAN,
    "Portuguese": PORTUGUESE,
    "Japanese": JAPANESE,
    "Chinese": CHINESE,
    "Russian": RUSSIAN,
}
ROWS = {
    f"{language}, {reason.value} {number}": (text, reason)
    for language, replies in LANGUAGES.items()
    for number, (text, reason) in enumerate(replies.items(), 1)
}


@pytest.mark.parametrize(("text", "reason"), ROWS.values(), ids=ROWS)
def test_reason_of_words(text: str, reason: Reason) -> None:
    """Accents, case and the code before it change nothing."""
    assert reason_of(text) is reason
    assert reason_of(f"host mx.x.fr[192.0.2.1] said: {text.upper()}") is reason
