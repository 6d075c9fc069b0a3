"""What a structure's name means: kind of tissue, concept code, plausible CT numbers.

Codes: SNOMED CT, as 3D Slicer's General Anatomy terminology uses them. CT numbers (HU): ranges that a voxel well inside
the tissue shows on CT with or without contrast; unsourced starting values, wide on purpose, used only for warnings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache


class Tissue(StrEnum):
    """Kinds of tissue, as far as a needle cares."""

    SKIN = "skin"
    BONE = "bone"
    CARTILAGE = "cartilage"
    LUNG = "lung"
    AIRWAY = "airway"
    HEART = "heart"
    VESSEL = "vessel"
    BOWEL = "bowel"
    ORGAN = "organ"
    FLUID = "fluid"
    NERVE = "nerve"
    MUSCLE = "muscle"
    FAT = "fat"
    LESION = "lesion"
    IMPLANT = "implant"
    OUTSIDE = "outside"
    OTHER = "other"


@dataclass(frozen=True)
class Anatomy:
    """Meaning of a name: tissue kind, SNOMED CT code and words ("" if none), and the CT numbers it may show."""

    tissue: Tissue
    code: str = ""
    meaning: str = ""
    hu_range: tuple[float, float] | None = None


_SOFT = (-60.0, 250.0)
_ROWS: tuple[tuple[str, Anatomy], ...] = (
    ("masseter*", Anatomy(Tissue.MUSCLE, "71616004", "Muscle", (-150, 250))),
    ("*lesion*", Anatomy(Tissue.LESION, "52988006", "Lesion")),
    ("*mass*", Anatomy(Tissue.LESION, "4147007", "Mass")),
    ("*tumor*", Anatomy(Tissue.LESION, "4147007", "Mass")),
    ("*tumour*", Anatomy(Tissue.LESION, "4147007", "Mass")),
    ("*nodule*", Anatomy(Tissue.LESION, "27925004", "Nodule")),
    # What lies on the skin or over it. A stoma is bowel, and "stoma*" would be the stomach too.
    ("stoma", Anatomy(Tissue.BOWEL, "", "Stoma", (-1024, 1500))),
    ("stoma_*", Anatomy(Tissue.BOWEL, "", "Stoma", (-1024, 1500))),
    ("colostomy*", Anatomy(Tissue.BOWEL, "", "Stoma", (-1024, 1500))),
    ("ileostomy*", Anatomy(Tissue.BOWEL, "", "Stoma", (-1024, 1500))),
    ("scar*", Anatomy(Tissue.SKIN, "", "Scar")),
    ("tattoo*", Anatomy(Tissue.SKIN, "", "Tattoo")),
    ("breast*", Anatomy(Tissue.ORGAN, "76752008", "Breast", (-200, 250))),
    ("drape*", Anatomy(Tissue.OUTSIDE, "", "Drape")),
    ("dressing*", Anatomy(Tissue.OUTSIDE, "", "Dressing")),
    ("plaster", Anatomy(Tissue.OUTSIDE, "", "Plaster")),
    ("ecg*", Anatomy(Tissue.OUTSIDE, "", "ECG lead or electrode")),
    ("defibrillator_pad*", Anatomy(Tissue.OUTSIDE, "", "Pad of a defibrillator")),
    ("blanket*", Anatomy(Tissue.OUTSIDE, "", "Blanket")),
    ("tubing*", Anatomy(Tissue.OUTSIDE, "", "Tubing")),
    ("skin", Anatomy(Tissue.SKIN, "39937001", "Skin structure")),
    ("body", Anatomy(Tissue.SKIN, "123037004", "Body structure")),
    ("costal_cartilage*", Anatomy(Tissue.CARTILAGE, "50016007", "Costal cartilage", (-50, 1500))),
    ("intervertebral_discs", Anatomy(Tissue.CARTILAGE, "", "Intervertebral disc", (-150, 1500))),
    ("rib_*", Anatomy(Tissue.BONE, "113197003", "Rib", (-50, 2500))),
    ("vertebra*", Anatomy(Tissue.BONE, "51282000", "Vertebra", (-100, 2500))),
    ("sacrum", Anatomy(Tissue.BONE, "54735007", "Sacrum", (-100, 2500))),
    ("sternum", Anatomy(Tissue.BONE, "56873002", "Sternum", (-100, 2500))),
    ("scapula*", Anatomy(Tissue.BONE, "79601000", "Scapula", (-100, 2500))),
    ("clavicula*", Anatomy(Tissue.BONE, "51299004", "Clavicle", (-100, 2500))),
    ("humerus*", Anatomy(Tissue.BONE, "85050009", "Humerus", (-100, 2500))),
    ("femur*", Anatomy(Tissue.BONE, "71341001", "Femur", (-100, 2500))),
    ("hip_*", Anatomy(Tissue.BONE, "29836001", "Hip bone", (-100, 2500))),
    ("skull", Anatomy(Tissue.BONE, "89546000", "Skull", (-100, 3000))),
    ("bone*", Anatomy(Tissue.BONE, "272673000", "Bone", (-100, 2500))),
    ("lung_vessel*", Anatomy(Tissue.VESSEL, "", "Vessel in the lung", (-500, 500))),
    ("bulla*", Anatomy(Tissue.LUNG, "", "Bulla", (-1024, -900))),
    ("fissure*", Anatomy(Tissue.LUNG, "", "Pulmonary fissure")),
    ("lung*", Anatomy(Tissue.LUNG, "39607008", "Lung", (-1024, -200))),
    ("trachea", Anatomy(Tissue.AIRWAY, "44567001", "Trachea", (-1024, 100))),
    ("bronch*", Anatomy(Tissue.AIRWAY, "955009", "Bronchus", (-1024, 100))),
    ("heart*", Anatomy(Tissue.HEART, "80891009", "Heart", (-60, 500))),
    ("atrial_appendage*", Anatomy(Tissue.HEART, "33626005", "Atrial appendage", (-60, 500))),
    ("aorta*", Anatomy(Tissue.VESSEL, "15825003", "Aorta", (0, 600))),
    ("superior_vena_cava", Anatomy(Tissue.VESSEL, "48345005", "Superior vena cava", (-20, 1500))),
    ("inferior_vena_cava", Anatomy(Tissue.VESSEL, "64131007", "Inferior vena cava", (-20, 500))),
    ("portal_vein*", Anatomy(Tissue.VESSEL, "32764006", "Portal vein", (-20, 400))),
    ("hepatic_vein*", Anatomy(Tissue.VESSEL, "8993003", "Hepatic vein", (-20, 400))),
    ("hepatic_artery*", Anatomy(Tissue.VESSEL, "76015000", "Hepatic artery", (-20, 500))),
    ("pulmonary_vein*", Anatomy(Tissue.VESSEL, "122972007", "Pulmonary vein", (-200, 600))),
    ("pulmonary_artery*", Anatomy(Tissue.VESSEL, "81040000", "Pulmonary artery", (-200, 800))),
    ("internal_mammary*", Anatomy(Tissue.VESSEL, "69327007", "Internal thoracic artery", (-60, 500))),
    ("intercostal*", Anatomy(Tissue.VESSEL, "16811007", "Intercostal artery", (-100, 500))),
    ("*_artery*", Anatomy(Tissue.VESSEL, "51114001", "Artery", (-60, 600))),
    ("*_vein*", Anatomy(Tissue.VESSEL, "29092000", "Vein", (-60, 1500))),
    ("*_vena*", Anatomy(Tissue.VESSEL, "29092000", "Vein", (-60, 500))),
    ("brachiocephalic_trunk", Anatomy(Tissue.VESSEL, "12691009", "Brachiocephalic trunk", (-60, 600))),
    ("*vessel*", Anatomy(Tissue.VESSEL, "59820001", "Blood vessel", (-60, 600))),
    ("bile_duct*", Anatomy(Tissue.FLUID, "28273000", "Bile duct", (-60, 200))),
    ("gallbladder", Anatomy(Tissue.FLUID, "28231008", "Gallbladder", (-60, 300))),
    ("urinary_bladder", Anatomy(Tissue.FLUID, "89837001", "Urinary bladder", (-60, 1500))),
    ("liver*", Anatomy(Tissue.ORGAN, "10200004", "Liver", (-40, 300))),
    ("spleen", Anatomy(Tissue.ORGAN, "78961009", "Spleen", (-20, 350))),
    ("kidney_cyst*", Anatomy(Tissue.FLUID, "", "Cyst of kidney", (-60, 150))),
    ("kidney*", Anatomy(Tissue.ORGAN, "64033007", "Kidney", (-60, 500))),
    ("pancreas", Anatomy(Tissue.ORGAN, "15776009", "Pancreas", (-110, 300))),
    ("adrenal_gland*", Anatomy(Tissue.ORGAN, "23451007", "Adrenal gland", (-110, 250))),
    ("thyroid*", Anatomy(Tissue.ORGAN, "69748006", "Thyroid gland", (-60, 400))),
    ("prostate", Anatomy(Tissue.ORGAN, "41216001", "Prostate", (-60, 300))),
    ("stomach", Anatomy(Tissue.BOWEL, "69695003", "Stomach", (-1024, 1500))),
    ("colon", Anatomy(Tissue.BOWEL, "71854001", "Colon", (-1024, 1500))),
    ("duodenum", Anatomy(Tissue.BOWEL, "38848004", "Duodenum", (-1024, 1500))),
    ("small_bowel", Anatomy(Tissue.BOWEL, "30315005", "Small intestine", (-1024, 1500))),
    ("esophagus", Anatomy(Tissue.BOWEL, "32849002", "Esophagus", (-1024, 1000))),
    ("spinal_c*", Anatomy(Tissue.NERVE, "2748008", "Spinal cord", _SOFT)),
    ("brain", Anatomy(Tissue.NERVE, "12738006", "Brain", _SOFT)),
    ("nerve*", Anatomy(Tissue.NERVE, "3057000", "Nerve", _SOFT)),
    ("diaphragm", Anatomy(Tissue.MUSCLE, "5798000", "Diaphragm", (-150, 250))),
    ("*autochthon*", Anatomy(Tissue.MUSCLE, "71616004", "Muscle", (-150, 250))),
    ("gluteus*", Anatomy(Tissue.MUSCLE, "71616004", "Muscle", (-150, 250))),
    ("iliopsoas*", Anatomy(Tissue.MUSCLE, "71616004", "Muscle", (-150, 250))),
    ("*muscle*", Anatomy(Tissue.MUSCLE, "71616004", "Muscle", (-150, 250))),
    ("*fat*", Anatomy(Tissue.FAT, "55603005", "Adipose tissue", (-250, 60))),
    ("*implant*", Anatomy(Tissue.IMPLANT, "40388003", "Implant", (1000, 30000))),
    ("metal*", Anatomy(Tissue.IMPLANT, "", "Metal", (1000, 30000))),
    ("pacemaker*", Anatomy(Tissue.IMPLANT, "14106009", "Pacemaker")),
    ("port*", Anatomy(Tissue.IMPLANT, "", "Port")),
    ("couch*", Anatomy(Tissue.OUTSIDE, "", "Patient support")),
    ("table*", Anatomy(Tissue.OUTSIDE, "", "Patient support")),
    ("cushion*", Anatomy(Tissue.OUTSIDE, "", "Patient support")),
)
_UNKNOWN = Anatomy(Tissue.OTHER)


@lru_cache(maxsize=4096)
def anatomy_of(name: str) -> Anatomy:
    """The meaning of a canonical name; the first row that fits decides, Tissue.OTHER where none does."""
    return next((anatomy for pattern, anatomy in _ROWS if fnmatchcase(name, pattern)), _UNKNOWN)


def side_of(name: str) -> str:
    """ "left", "right" or "" from the words of a canonical name."""
    words = name.split("_")
    return "left" if "left" in words else "right" if "right" in words else ""
