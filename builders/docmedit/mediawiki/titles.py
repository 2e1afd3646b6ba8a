"""Names of pages as MediaWiki reads them from links."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

Kind = Literal["article", "namespace", "dropped", "interwiki", "none"]
"""What a link leads to. `dropped` ones show nothing where they stand: files, categories and links
between languages."""

_SPACES = re.compile(r"[\s_]+")

_ALIASES = {"image": 6, "image talk": 7, "wp": 4, "wt": 5, "project": 4, "project talk": 5}

_PROJECT_CODES = (
    "b c commons d doi foundation incubator iarchive m mediawikiwiki meta mw n oeis q s species "
    "toollabs v voy w wikibooks wikidata wikimedia wikinews wikipedia wikiquote wikisource "
    "wikispecies wikiversity wikivoyage wikt wiktionary wmf"
)
_PROJECTS = frozenset(_PROJECT_CODES.split())

_LANGUAGE_CODES = (
    "aa ab ace af ak als am an ang ar arc arz as ast av ay az azb ba bar bcl be bg bh bi bm bn bo "
    "bpy br bs bug bxr ca cbk-zam cdo ce ceb ch chr chy ckb co cr crh cs csb cu cv cy da de din "
    "diq dsb dty dv dz ee el eml en eo es et eu ext fa ff fi fj fo fr frp frr fur fy ga gag gan gd "
    "gl glk gn gom gor got gu gv ha hak haw he hi hif ho hr hsb ht hu hy ia id ie ig ik ilo inh io "
    "is it iu ja jam jbo jv ka kaa kab kbp kg ki kk kl km kn ko koi krc ks ksh ku kv kw ky la lad "
    "lb lbe lez lfn lg li lij lmo ln lo lrc lt ltg lv mai map-bms mdf mg mhr mi min mk ml mn mr "
    "mrj ms mt mwl my myv mzn na nah nap nds nds-nl ne new nl nn no nov nrm nso nv ny oc olo om or "
    "os pa pag pam pap pcd pdc pfl pi pih pl pms pnb pnt ps pt qu rm rmy rn ro roa-rup roa-tara ru "
    "rue rw sa sah sat sc scn sco sd se sg sh si simple sk sl sm sn so sq sr srn ss st stq su sv "
    "sw szl ta tcy te tet tg th ti tk tl tn to tpi tr ts tt tum tw ty tyv udm ug uk ur uz ve vec "
    "vep vi vls vo wa war wo wuu xal xh xmf yi yo za zea zh zh-classical zh-min-nan zh-yue "
    "zu"
)
_LANGUAGES = frozenset(_LANGUAGE_CODES.split())


@dataclass(frozen=True)
class Titles:
    """The naming rules of one wiki.

    Attributes:
        namespaces: Its namespaces' numbers by name, lower-case; the main one has the name "".
        first_letter: Whether the first letter of a title is a capital, however it is written.
    """

    namespaces: Mapping[str, int]
    first_letter: bool = True

    def normal(self, name: str) -> str:
        """A title in its one spelling; a fragment is cut off."""
        name = html.unescape(name).partition("#")[0]
        if "%" in name:
            name = unquote(name)
        name = _SPACES.sub(" ", name).strip().removeprefix(":").strip()
        if self.first_letter and name and name[0].islower():
            # Not `upper()` alone: "ß" would become two letters.
            first = name[0].upper()
            name = (first if len(first) == 1 else name[0]) + name[1:]
        return name

    def target(self, link: str) -> tuple[Kind, str]:
        """What a link leads to, and the title of an article; "" for everything else."""
        text = _SPACES.sub(" ", html.unescape(link)).strip()
        shown = text.startswith(":")
        text = text.removeprefix(":").strip()
        prefix, colon, rest = text.partition(":")
        if colon:
            key = prefix.strip().lower()
            number = self.namespaces.get(key, _ALIASES.get(key))
            if number:
                return ("namespace" if shown or number not in (6, 14) else "dropped"), ""
            if key in _PROJECTS:
                return "interwiki", ""
            if key in _LANGUAGES:
                return ("interwiki" if shown else "dropped"), ""
            if number == 0:
                text = rest
        title = self.normal(text)
        return ("article", title) if title else ("none", "")
