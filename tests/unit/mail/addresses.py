"""Addresses and whether we may write to them: one table for Python and SQL."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """An address, and whether we may write to it."""

    address: str
    usable: bool


USABLE = {
    "plain": "jean@example.fr",
    "dotted": "jean.dupont@example.fr",
    "plus": "jean+club@example.fr",
    "all atext": "!#$%&'*+-/=?^_`{|}~@example.fr",
    "digits": "0612345678@example.fr",
    "one letter": "j@example.fr",
    "apostrophe": "d'artagnan@example.fr",
    "hyphen first": "-jean-@example.fr",
    "upper case": "JEAN@EXAMPLE.FR",
    "subdomains": "a@b.c.d.e.example.fr",
    "one-letter label": "a@x.fr",
    "digit label": "a@1.fr",
    "punycode": "a@xn--bcher-kva.example",
    "punycode top level": "a@example.xn--p1ai",
    "long top level": "a@example.photography",
    "double hyphen": "a@ex--ample.fr",
    "local part of 64": "a" * 64 + "@example.fr",
    "label of 63": "a@" + "b" * 63 + ".fr",
    "254 octets": "a@" + ".".join(["b" * 63, "c" * 63, "d" * 63, "e" * 57]) + ".fr",
}

UNUSABLE = {
    "empty": "",
    "no at": "jean.example.fr",
    "at alone": "@",
    "no local part": "@example.fr",
    "no domain": "jean@",
    "two ats": "jean@club@example.fr",
    "no dot in domain": "jean@localhost",
    "dot first": ".jean@example.fr",
    "dot last": "jean.@example.fr",
    "two dots": "jean..dupont@example.fr",
    "domain dot first": "jean@.example.fr",
    "domain dot last": "jean@example.fr.",
    "domain two dots": "jean@example..fr",
    "label begins with hyphen": "jean@-example.fr",
    "label ends with hyphen": "jean@example-.fr",
    "underscore in domain": "jean@ex_ample.fr",
    "top level of one": "jean@example.f",
    "numeric top level": "jean@192.0.2.1",
    "top level begins with digit": "jean@example.1fr",
    "top level ends with hyphen": "jean@example.fr-",
    "address literal": "jean@[192.0.2.1]",
    "quoted local part": '"jean dupont"@example.fr',
    "space inside": "jean dupont@example.fr",
    "space before": " jean@example.fr",
    "space after": "jean@example.fr ",
    "in brackets": "<jean@example.fr>",
    "two addresses": "jean@example.fr,marie@example.fr",
    "comment": "jean(club)@example.fr",
    "accent in local part": "andr\u00e9@example.fr",
    "accent in domain": "jean@caf\u00e9.fr",
    "dotless i": "jean@\u0131.fr",
    "full-width at": "jean\uff20example.fr",
    "line end after": "jean@example.fr\n",
    "smuggled command": "jean@example.fr\r\nDATA",
    "smuggled parameter": "jean@example.fr> SIZE=1",
    "tab": "jean\t@example.fr",
    "delete": "jean\x7f@example.fr",
    "right to left": "jean\u202e@example.fr",
    "local part of 65": "a" * 65 + "@example.fr",
    "label of 64": "a@" + "b" * 64 + ".fr",
    "255 octets": "a@" + ".".join(["b" * 63, "c" * 63, "d" * 63, "e" * 58]) + ".fr",
}

ADDRESSES = {
    **{name: Case(address, usable=True) for name, address in USABLE.items()},
    **{name: Case(address, usable=False) for name, address in UNUSABLE.items()},
}
