"""The text of an HTML document."""

from __future__ import annotations

import pytest

from worker.mail.hypertext import text_of

PAGES = {
    "nothing": ("", ""),
    "text": ("Bonjour  à\n tous", "Bonjour à tous"),
    "paragraphs": ("<p>Un</p>\n<p>Deux</p>", "Un\n\nDeux"),
    "not closed": ("<p>Un<p>Deux", "Un\n\nDeux"),
    "divisions": ("<div>Un</div><div>Deux</div>", "Un\nDeux"),
    "breaks": ("Un<br>Deux<BR/><br>Trois", "Un\nDeux\n\nTrois"),
    "a head": (
        "<html><head><title>T</title><style>p { }</style></head><body>x</body></html>", "x",
    ),
    "a script": ("a<script>if (1 < 2) '</b>'</script>b", "ab"),
    "comments": ("a<!-- <p> -->b<!-->c<!--[if mso]>d<![endif]-->e", "abce"),
    "a list": ("<ul><li>Un<li>Deux</ul>Fin", "- Un\n- Deux\n\nFin"),
    "a table": ("<table><tr><td>a<td>b</tr><tr><th>c</table>", "a b\nc"),
    "a heading": ("<h1>T</h1>x", "T\n\nx"),
    "a rule": ("a<hr>b", "a\n\n" + "-" * 40 + "\nb"),
    "a link": ('<a href="https://b.fr/?a=1&amp;b=2">ici</a>.', "ici <https://b.fr/?a=1&b=2>."),
    "a link that is its words": ("<a href=https://b.fr/>https://b.fr/</a>", "https://b.fr/"),
    "a mailto": ("<a href='mailto:a@b.fr'>a@b.fr</a>", "a@b.fr"),
    "no link to follow": ('<a href="#x">a</a><a name=b>b</a><a href="javascript:x()">c</a>', "abc"),
    "links not closed": ("<a href=http://x/>a<a href=http://y/>b", "a <http://x/>b"),
    "an image": ('<img alt="Logo" src=x><img src=y>z', "[Logo]z"),
    "a quote": (
        "Oui<blockquote>a<br>b<blockquote>c</blockquote></blockquote>d",
        "Oui\n\n> a\n> b\n>\n> > c\n\nd",
    ),
    "as it was typed": ("<pre>a\n  b\n\nc</pre>d", "a\n  b\n\nc\n\nd"),
    "references": ("&eacute;&#233;&#xE9;&amp;lt; &nbsp;x", "ééé&lt; \N{NO-BREAK SPACE}x"),
    "a number too long": ("a&#" + "9" * 5000 + ";b", "ab"),
    "no tags": ("1 < 2 <3 a<b and c>d", "1 < 2 <3 ad"),
    "not closed tag": ("a <b href", "a <b href"),
    "not closed comment": ("a<!-- b", "a"),
    "not closed style": ("a<style> b", "a"),
    "too many ends": ("</blockquote></pre></p>a", "a"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "text"), PAGES.values(), ids=PAGES)
def test_text_of(source: str, text: str) -> None:
    """What is to be read, in lines, and nothing of how it looks."""
    assert text_of(source) == text
