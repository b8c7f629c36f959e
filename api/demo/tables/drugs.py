"""The treatments of the demo: DCI, ATC code, doses from low to high, and what must not meet.

Not reviewed by a clinician. ATC codes are the few that stand on these lines; the pairs are the
widely taught ones (ANSM, *Thésaurus des interactions médicamenteuses*), not the whole thesaurus.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drug:
    """One treatment line; ``doses`` from the lowest to the highest that the demo prescribes."""

    name: str
    atc: str
    doses: tuple[str, ...]
    over_the_counter: bool = False


def _drugs(text: str) -> dict[str, Drug]:
    found = {}
    for line in text.strip().splitlines():
        key, name, atc, *doses = (part.strip() for part in line.split("|"))
        free = doses[-1] == "libre"
        found[key] = Drug(name, atc, tuple(doses[:-1] if free else doses), free)
    return found


DRUGS = _drugs("""
perindopril | Périndopril | C09AA04 | 2,5 mg le matin | 5 mg le matin | 10 mg le matin
ramipril | Ramipril | C09AA05 | 2,5 mg le matin | 5 mg le matin | 10 mg le matin
candesartan | Candésartan | C09CA06 | 4 mg le matin | 8 mg le matin | 16 mg le matin
amlodipine | Amlodipine | C08CA01 | 5 mg le matin | 10 mg le matin
lercanidipine | Lercanidipine | C08CA13 | 10 mg le matin | 20 mg le matin
indapamide | Indapamide | C03BA11 | 1,5 mg le matin
metformine | Metformine | A10BA02 | 500 mg matin et soir | 850 mg matin et soir | 1 g matin et soir
gliclazide | Gliclazide | A10BB09 | 30 mg le matin | 60 mg le matin | 90 mg le matin
sitagliptine | Sitagliptine | A10BH01 | 50 mg le matin | 100 mg le matin
glargine | Insuline glargine | A10AE04 | 12 unités le soir | 16 unités le soir | 22 unités le soir
atorvastatine | Atorvastatine | C10AA05 | 10 mg le soir | 20 mg le soir | 40 mg le soir
pravastatine | Pravastatine | C10AA03 | 20 mg le soir | 40 mg le soir
rosuvastatine | Rosuvastatine | C10AA07 | 5 mg le soir | 10 mg le soir
levothyroxine | Lévothyroxine | H03AA01 | 50 µg à jeun | 75 µg à jeun | 88 µg à jeun | 100 µg à jeun
salbutamol | Salbutamol | R03AC02 | 1 à 2 bouffées si gêne
fluticasone | Fluticasone et salmétérol | R03AK06 | 125/25 une bouffée matin et soir | 250/25 une bouffée matin et soir
budesonide | Budésonide et formotérol | R03AK07 | 160/4,5 une bouffée matin et soir | 320/9 une bouffée matin et soir
tiotropium | Tiotropium | R03BB04 | 18 µg inhalés le matin
paracetamol | Paracétamol | N02BE01 | 1 g si besoin, 3 par jour au plus | libre
ibuprofene | Ibuprofène | M01AE01 | 400 mg si crise, 3 par jour au plus | libre
tramadol | Tramadol | N02AX02 | 50 mg si besoin, 3 par jour au plus | 100 mg LP matin et soir
omeprazole | Oméprazole | A02BC01 | 10 mg le soir | 20 mg le soir
pantoprazole | Pantoprazole | A02BC02 | 20 mg le matin | 40 mg le matin
apixaban | Apixaban | B01AF02 | 2,5 mg matin et soir | 5 mg matin et soir
rivaroxaban | Rivaroxaban | B01AF01 | 15 mg au dîner | 20 mg au dîner
warfarine | Warfarine | B01AA03 | 3 mg le soir | 4 mg le soir | 5 mg le soir
bisoprolol | Bisoprolol | C07AB07 | 1,25 mg le matin | 2,5 mg le matin | 5 mg le matin
furosemide | Furosémide | C03CA01 | 20 mg le matin | 40 mg le matin | 80 mg le matin
spironolactone | Spironolactone | C03DA01 | 25 mg le midi
dapagliflozine | Dapagliflozine | A10BK01 | 10 mg le matin
aspirine | Acide acétylsalicylique | B01AC06 | 75 mg à midi
clopidogrel | Clopidogrel | B01AC04 | 75 mg le matin
trinitrine | Trinitrine | C01DA02 | une bouffée sous la langue si douleur
alendronate | Acide alendronique | M05BA04 | 70 mg une fois par semaine
vitamine_d | Colécalciférol | A11CC05 | 50 000 UI tous les trois mois | libre
tamsulosine | Tamsulosine | G04CA02 | 0,4 mg le soir
alfuzosine | Alfuzosine | G04CA01 | 10 mg le soir
desonide | Désonide | D07AB08 | une application le soir
betamethasone | Bétaméthasone et calcipotriol | D05AX52 | une application le soir
sertraline | Sertraline | N06AB06 | 50 mg le matin | 100 mg le matin
venlafaxine | Venlafaxine | N06AX16 | 37,5 mg le matin | 75 mg le matin | 150 mg le matin
mirtazapine | Mirtazapine | N06AX11 | 15 mg le soir | 30 mg le soir
zopiclone | Zopiclone | N05CF01 | 3,75 mg au coucher
levodopa | Lévodopa et bensérazide | N04BA02 | 125 mg trois fois par jour | 250 mg trois fois par jour
levetiracetam | Lévétiracétam | N03AX14 | 250 mg matin et soir | 500 mg matin et soir
lamotrigine | Lamotrigine | N03AX09 | 50 mg matin et soir | 100 mg matin et soir
allopurinol | Allopurinol | M04AA01 | 100 mg le soir | 200 mg le soir | 300 mg le soir
colchicine | Colchicine | M04AC01 | 0,5 mg deux fois par jour, cinq jours
methotrexate | Méthotrexate | L04AX03 | 10 mg le lundi | 15 mg le lundi
acide_folique | Acide folique | B03BB01 | 5 mg le jeudi
anastrozole | Anastrozole | L02BG03 | 1 mg le matin
leuproreline | Leuproréline | L02AE02 | 11,25 mg tous les trois mois
varenicline | Substitut nicotinique | N07BA01 | patch de 14 mg par jour | patch de 21 mg par jour | libre
cetirizine | Cétirizine | R06AE07 | 10 mg le soir | libre
mometasone | Mométasone nasale | R01AD09 | deux pulvérisations le matin
latanoprost | Latanoprost | S01EE01 | une goutte le soir dans chaque œil
fer | Sulfate ferreux | B03AA07 | 80 mg le matin | 160 mg le matin
diosmine | Diosmine | C05CA03 | 600 mg le matin | libre
phloroglucinol | Phloroglucinol | A03AX12 | 80 mg si douleur | libre
trimebutine | Trimébutine | A03AA05 | 100 mg trois fois par jour
macrogol | Macrogol | A06AD15 | un à deux sachets par jour | libre
levonorgestrel | Lévonorgestrel et éthinylestradiol | G03AA07 | un comprimé par jour
amoxicilline | Amoxicilline | J01CA04 | 1 g trois fois par jour, sept jours
amoxicilline_enfant | Amoxicilline | J01CA04 | 80 mg/kg par jour, cinq jours
augmentin | Amoxicilline et acide clavulanique | J01CR02 | 1 g trois fois par jour, sept jours
pristinamycine | Pristinamycine | J01FG01 | 1 g trois fois par jour, sept jours
fosfomycine | Fosfomycine | J01XX01 | 3 g en une prise
valaciclovir | Valaciclovir | J05AB11 | 1 g trois fois par jour, sept jours
racecadotril | Racécadotril | A07XA04 | 100 mg trois fois par jour, trois jours
fusidique | Acide fusidique crème | D06AX01 | deux applications par jour, sept jours
rifamycine | Rifamycine collyre | S01AA16 | une goutte quatre fois par jour, cinq jours
betahistine | Bétahistine | N07CA01 | 24 mg matin et soir, dix jours
prednisolone | Prednisolone | H02AB06 | 40 mg le matin, cinq jours
""")  # fmt: skip
"""Every treatment by its key."""

CONTRAINDICATED = (
    ("B01AA", "M01A", "AVK et anti-inflammatoire : saignement"),
    ("B01AF", "M01A", "anticoagulant direct et anti-inflammatoire : saignement"),
    ("B01AA", "B01AF", "deux anticoagulants"),
    ("L04AX03", "M01A", "méthotrexate et anti-inflammatoire : toxicité du méthotrexate"),
    ("L04AX03", "J01E", "méthotrexate et triméthoprime : toxicité hématologique"),
    ("M04AC01", "J01FA", "colchicine et macrolide : toxicité de la colchicine"),
    ("M04AC01", "J01FG01", "colchicine et pristinamycine : toxicité de la colchicine"),
    ("C03DA", "A12BA", "spironolactone et potassium : hyperkaliémie"),
    ("C09A", "C09C", "double blocage du système rénine"),
    ("L04AX03", "J01C", "méthotrexate et pénicilline : toxicité du méthotrexate"),
    ("N06AB", "N02AX02", "sérotoninergiques : syndrome sérotoninergique"),
    ("N06AX16", "N02AX02", "sérotoninergiques : syndrome sérotoninergique"),
    ("B01AA", "B01AC06", "AVK et aspirine : saignement"),
    ("N05BA", "N05CF", "deux hypnotiques"),
    ("G03AA", "N03AX09", "œstroprogestatif et lamotrigine : perte d'efficacité"),
)
"""(ATC prefix, ATC prefix, why): pairs that the demo's doctors never prescribe together."""

CROSSED = {
    "J01CE": ("J01C",),
    "N02BA01": ("N02BA", "B01AC06", "M01A"),
    "J01E": ("J01E",),
    "N02AX02": ("N02AX02",),
    "V08": ("V08",),
}
"""ATC of an allergen -> ATC prefixes that an allergic patient is not given."""


def conflict(first: str, second: str) -> str | None:
    """Why two ATC codes must not stand together; None where the small table has nothing."""
    for left, right, why in CONTRAINDICATED:
        if (first.startswith(left) and second.startswith(right)) or (
            first.startswith(right) and second.startswith(left)
        ):
            return why
    return None


def same_subgroup(first: str, second: str) -> bool:
    """Whether two ATC codes are one treatment given twice: two statins, two ACE inhibitors.

    Of antiplatelets (B01AC) two are given together.
    """
    alike = first if first.startswith("B01AC") else first[:5]
    return second.startswith(alike)


def forbidden(allergen: str, atc: str) -> bool:
    """Whether somebody allergic to ``allergen`` (an ATC code) must not be given ``atc``."""
    return any(atc.startswith(prefix) for prefix in CROSSED.get(allergen, (allergen,)))
