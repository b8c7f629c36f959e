"""What French laboratories write in the place of a label, and what it is taken for."""

from __future__ import annotations

from typing import Any, Final

import pytest

from releve.domain.aggregates.patient.analyte_labels import telling, words_of
from releve.domain.aggregates.patient.contingencies import ContingencySet, answers
from releve.domain.aggregates.patient.loinc_families import FAMILIES, kinship
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.values import Coding, Concept, Quantity, ResultLine, Threshold
from releve.projections.critical_values import verdicts
from releve.projections.rule_release import load_rules

K, NA, INR, HB, GLUCOSE, CREATININE, TROPONIN = (
    "2823-3", "2951-2", "6301-6", "718-7", "2345-7", "2160-0", "6598-7",
)  # fmt: skip
CRP, PLATELETS, NEUTROPHILS, CALCIUM, LACTATE, HBA1C, DFG, LEUKOCYTES, TSH, SPO2 = (
    "1988-5", "777-3", "751-8", "17861-6", "2524-7", "4548-4", "62238-1", "6690-2", "3016-3",
    "2708-6",
)  # fmt: skip
ALL: Final = {
    K, NA, INR, HB, GLUCOSE, CREATININE, TROPONIN, CRP, PLATELETS, NEUTROPHILS, CALCIUM, LACTATE,
    HBA1C, DFG, LEUKOCYTES, TSH, SPO2,
}  # fmt: skip

SURE: Final = {
    K: (
        "POTASSIUM", "Kaliémie", "K", "K+", "DOSAGE DU POTASSIUM", "IONOGRAMME : POTASSIUM",
        "Ionogramme sanguin - Potassium", "POTASSIUM (SANG)", "Potassium plasmatique",
        "potassium sérique (potentiométrie indirecte)", "01 POTASSIUM", "IONO K+",
        "Taux de potassium",
        "GAZ DU SANG : K+", "POTASSIUM*", "S-POTASSIUM", "Potassium, avant dialyse",
        "K (mmol/L)", "KALIEMIE (ponction veineuse)", "Kaliémie - échantillon hémolysé", "POTASS.",
        "Potassium (héparinate de sodium)", "Mesure de la kaliémie",
    ),
    NA: ("SODIUM", "Natrémie", "NA+", "DOSAGE DU SODIUM", "IONOGRAMME : SODIUM", "Na (plasma)",
         "Mesure du sodium", "Natrémie corrigée"),
    INR: ("INR", "I.N.R.", "I.N.R", "INR (AVK)", "INR sous anti-vitamine K",
          "Rapport normalisé international", "Hémostase : INR", "INR (cible : 2 à 3)",
          "INR (ratio)"),
    HB: ("HEMOGLOBINE", "Hémoglobine", "Hb", "HGB", "NFS : Hémoglobine", "Taux d'hémoglobine",
         "NUMERATION GLOBULAIRE : HEMOGLOBINE", "Hémogramme - Hémoglobine", "HEMOGLOBINE TOTALE",
         "Dosage de l’hémoglobine", "Hb capillaire", "Hb (g/dL)"),
    GLUCOSE: ("GLYCEMIE", "Glycémie à jeun", "GLUCOSE", "Glucose plasmatique",
              "DOSAGE DU GLUCOSE", "Bilan glucidique : glycémie", "Glycémie capillaire", "Dextro"),
    CREATININE: ("CREATININE", "Créatininémie", "DOSAGE DE LA CREATININE",
                 "Créatinine (enzymatique)",
                 "FONCTION RENALE : CREATININE", "CREAT.", "Créatinine sérique"),
    TROPONIN: ("TROPONINE", "Troponine T hs", "Troponine I ultrasensible",
               "Marqueurs cardiaques : Troponine", "DOSAGE DE LA TROPONINE I", "Troponines"),
    CRP: ("CRP", "C.R.P.", "Protéine C réactive", "DOSAGE DE LA CRP", "CRP ultrasensible"),
    PLATELETS: ("PLAQUETTES", "Numération des plaquettes", "NFS - Plaquettes",
                "Taux de plaquettes"),
    NEUTROPHILS: ("Polynucléaires neutrophiles", "FORMULE : NEUTROPHILES", "PNN"),
    CALCIUM: ("CALCIUM", "Calcémie", "DOSAGE DU CALCIUM", "Ca++", "Calcium total"),
    LACTATE: ("LACTATES", "Lactate", "Dosage de l'acide lactique", "Gaz du sang : lactates"),
    HBA1C: ("Hémoglobine glyquée", "HBA1C", "HEMOGLOBINE GLYQUEE A1C", "Hb A1c",
            "DOSAGE DE L'HEMOGLOBINE GLYQUEE"),
    DFG: ("DFG", "Clairance de la créatinine", "DFG (CKD-EPI)", "Débit de filtration glomérulaire"),
    LEUKOCYTES: ("LEUCOCYTES", "NFS : globules blancs", "GB"),
    TSH: ("TSH", "T.S.H.", "Dosage de la TSH"),
    SPO2: ("Saturation", "SpO2"),
}  # fmt: skip
"""Surely the measure: its limits hold."""

DOUBT: Final = {
    K: ("POTASSIUM U", "U-POTASSIUM", "K U", "POTASSIUM 24H", "Potassium des 24 heures",
        "SODIUM / POTASSIUM", "Potassium érythrocytaire", "POTASSIUM DIALYSE",
        "Potassium : sang et urines", "CONTROLE QUALITE POTASSIUM", "K hémolysé", "Na - K - Cl",
        "Rapport d'analyse : potassium", "Potassium sous apports oraux"),
    NA: ("SODIUM / POTASSIUM", "SODIUM U", "NA 24H"),
    INR: ("Objectif INR", "TP / INR", "TAUX DE PROTHROMBINE - INR"),
    HB: ("Teneur en hémoglobine", "Hémoglobine, plaquettes", "Hb delta"),
    GLUCOSE: ("Charge de 75 g de glucose", "INDEX HOMA (GLUCOSE)"),
    CREATININE: ("CREATININE ET CLAIRANCE", "Créatinine U", "CREATININE - DFG"),
    TROPONIN: ("Cinétique de la troponine",),
}  # fmt: skip
"""A reader has to look: neither an alarm nor silence."""

NOTHING: Final = (
    "POTASSIUM URINAIRE", "POTASSIUM (URINES)", "Urines : potassium", "Kaliurèse",
    "Potassium des urines de 24 h", "IONOGRAMME URINAIRE - POTASSIUM", "Potassium LCR",
    "Potassium dialysat", "Apport en potassium", "Canrénoate de potassium", "Iodure de potassium",
    "K-ras", "VITAMINE K", "Vitamine K1", "SODIUM URINAIRE", "Natriurèse",
    "Valproate de sodium", "Hémoglobine A2", "Hémoglobine S",
    "Hémoglobine foetale", "Hémoglobine corpusculaire moyenne",
    "Teneur corpusculaire moyenne en hémoglobine", "Concentration corpusculaire moyenne en Hb",
    "CCMH", "TCMH", "Électrophorèse de l'hémoglobine",
    "Recherche de sang dans les selles (hémoglobine)", "Carboxyhémoglobine", "Ag HBs",
    "GLUCOSE LCR", "Glucose L.C.R.", "Glucose liquide pleural", "Glucosurie",
    "Glucose-6-phosphate déshydrogénase", "Glycémie moyenne estimée", "CREATININE URINAIRE",
    "Créatinurie", "Rapport albumine/créatinine", "Créatine kinase", "Anticorps anti-troponine",
    "Protéine C", "Volume plaquettaire moyen", "Agrégation des plaquettes", "CALCIUM IONISE",
    "Calcium urinaire", "Calciurie", "CA 125", "LACTATE DESHYDROGENASE", "LDH",
    "Leucocytes urinaires", "Anticorps anti-récepteur de la TSH",
    "Coefficient de saturation de la transferrine", "Résultat non rendu : pas de sérum",
    "Ferritine", "Bilirubine totale", "ASAT", "Hématocrite", "VGM", "Chlorure", "Bicarbonates",
    "Phosphore", "",
)  # fmt: skip
"""None of the measures that are watched."""


def told_by(label: str) -> dict[str, str]:
    said = {code: kinship((code,), (), label) for code in ALL}
    return {code: kin for code, kin in said.items() if kin is not None}


def cases(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(label, code) for code, labels in table.items() for label in labels]


@pytest.mark.parametrize(("label", "code"), cases(SURE))
def test_a_label_that_is_surely_of_a_measure(label: str, code: str) -> None:
    assert told_by(label) == {code: "words"}


@pytest.mark.parametrize(("label", "code"), cases(DOUBT))
def test_a_label_in_doubt_is_for_a_reader(label: str, code: str) -> None:
    assert told_by(label)[code] == "perhaps"
    assert "words" not in told_by(label).values()


@pytest.mark.parametrize("label", NOTHING)
def test_a_label_of_something_else(label: str) -> None:
    assert {code: kin for code, kin in told_by(label).items() if code not in (DFG, HBA1C)} == {}


def of(label: str, value: str, unit: str, **more: Any) -> dict[str, Any]:
    return {"code": {"text": label}, "value": {"value": value, "unit": unit}, **more}


@pytest.mark.parametrize("label", SURE[K])
def test_a_potassium_of_seven_rings_under_every_name(label: str) -> None:
    rules = load_rules()
    for value, more in (("7.1", {}), ("7,1", {}), ("6,0", {"comparator": ">"}),
                        ("2.0", {"comparator": "<"})):  # fmt: skip
        assert verdicts(of(label, value, "mmol/L", **more), rules) == [("critical", "Kaliémie")]
    assert verdicts(of(label, "4.1", "mmol/L"), rules) == []


@pytest.mark.parametrize("label", [*DOUBT[K]])
def test_a_potassium_in_doubt_is_told_only_where_it_would_be_critical(label: str) -> None:
    rules = load_rules()
    assert ("not-comparable", "Kaliémie") in verdicts(of(label, "7.1", "mmol/L"), rules)
    assert "critical" not in [each[0] for each in verdicts(of(label, "7.1", "mmol/L"), rules)]
    assert ("not-comparable", "Kaliémie") in verdicts(of(label, "7.1", "mg/dL"), rules)


@pytest.mark.parametrize("label", NOTHING)
def test_what_is_something_else_rings_nothing(label: str) -> None:
    assert verdicts(of(label, "600", "mmol/L"), load_rules()) == []


@pytest.mark.parametrize("label", [*SURE[K], *DOUBT[K]])
def test_a_threshold_sees_what_the_centre_sees(label: str) -> None:
    limit = Threshold(loinc=K, comparator=">", value="5.5", unit="mmol/L")
    waiting = ContingencySet(condition="Si K > 5,5", action="ECG", threshold=limit)
    value = Quantity(value="7.1", unit="mmol/L")
    said = ResultLine(code=Concept(text=label, codings=(Coding(code="K"),)), value=value)
    assert answers(waiting, ResultReceived(status="final", lines=(said,))) == "unit-error"


def test_the_code_of_another_measure_is_stronger_than_any_word() -> None:
    assert kinship((K,), ("2828-2",), "Dosage du potassium") is None
    assert kinship((K,), (NA,), "Dosage du potassium") is None
    assert kinship((K,), (K,), "Potassium urinaire") == "same"


def test_every_name_of_the_table_is_read_as_its_own_measure() -> None:
    for family in FAMILIES:
        for name in family.names:
            for shown in (name, name.upper(), f"Dosage : {name}"):
                assert kinship(family.codes, (), shown) == "words", shown


def test_words_of_a_label() -> None:
    assert words_of("K+Na+ (I.N.R.), Œ d'Hémoglobine") == (
        "k+", "na+", "inr", "d", "hemoglobine",
    )  # fmt: skip
    assert words_of("+++") == ("+++",)
    assert telling(words_of("Dosage des D-Dimères (sang)")) == ("dimeres",)
