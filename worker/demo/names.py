"""Names that people in the west of France might have; put together by chance, nobody's."""

from __future__ import annotations

import unicodedata

FIRST_NAMES = (  # noqa: SIM905 - a table of words is for people
    "Agnès Aïcha Alain Amélie André Anne-Laure Anaïs Baptiste Benoît Béatrice Camille Cécile"
    " Chloé Christophe Clément Clémence Denis Didier Éléonore Élise Émile Éric Fabrice Fanny"
    " Françoise François Gaël Gaëlle Gérard Gwenaëlle Hélène Hervé Inès Irène Jean-Baptiste"
    " Jean-Noël Jérôme Joël Joëlle Karim Laëtitia Léa Léo Loïc Loïs Lucie Maëlle Maïwenn Malo"
    " Marie-Thérèse Mathéo Michèle Mickaël Nadège Nathanaël Nicolas Noémie Océane Pascal Rémi"
    " René Régine Salomé Sébastien Solène Soazig Stéphane Thaïs Théo Timothée Valérie Véronique"
    " Xavier Yaël Yann Yvette Zoé"
).split()
LAST_NAMES = (  # noqa: SIM905 - the same
    "Abgrall|Angibaud|Baudry|Béchu|Bénéteau|Bertrand|Blanchet|Boutin|Briand|Brossard|Cadoret"
    "|Château|Chéreau|Clément|Corbineau|Cosquéric|Coué|Couëdel|Crépeau|D'Artigues|David|Delaunay"
    "|Derrien|Désiré|Doré|Dupont|Durand|Échappé|Étienne|Évain|Ferré|Fleury|Forêt|Gaudin|Gautier"
    "|Gélébart|Gérard|Giraudeau|Guédon|Guérin|Guillou|Hervé|Hélias|Jaouën|Joly|Jézéquel|Kérisit"
    "|Kerneïs|L'Hostis|Lahaye|Le Bihan|Le Goff|Le Guennec|Le Tiec|Lefèvre|Lemoine|Léauté|Maçon"
    "|Mahé|Marchand|Ménard|Moreau|Morvan|Muñoz|N'Diaye|Noël|Ogée|Orhan|Pasquier|Péan|Pérrodeau"
    "|Petit|Poilâne|Prévost|Quéméner|Raimbault|Rétière|Richard|Rivière|Rousseau|Séité|Sénéchal"
    "|Tanguy|Thébaud|Thomas|Tréguier|Vallée|Vétillard|Yvon"
).split("|")


def plain(name: str) -> str:
    """Write a name as people do in addresses: without accents, spaces and apostrophes."""
    decomposed = unicodedata.normalize("NFKD", name.lower())
    return "".join(letter for letter in decomposed if letter.isascii() and letter not in " '")
