"""One patient (or phantom): images, structures, plans and the record of who did what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from navplan.errors import ChoiceError, MismatchError
from navplan.geometry.transform import Transform
from navplan.model.plan import Plan
from navplan.model.structure import Structure
from navplan.model.volume import Volume


def _frozen(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(mapping))


def structure_key(structure: Structure) -> str:
    """NAME@IMAGE: the key of a structure whose name another image of the case has taken."""
    return f"{structure.name}@{structure.image_id}"


@dataclass(frozen=True)
class AuditEntry:
    """Who did what, when (ISO 8601, UTC); details are plain data."""

    when: str
    who: str
    action: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Case:
    """Everything about one patient. Never changed in place: the `with_` methods give a new one.

    volumes: image id -> Volume; structures: name -> Structure, for a name that another image has taken NAME@IMAGE
    (`structures_of` gives those of one image by their names); plans: plan id -> Plan; patient_from: frame -> Transform.
    folder: where it was read from, "" while it is only in memory; revision: of that folder.
    """

    id: str = "case"
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    structures: Mapping[str, Structure] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    patient_from: Mapping[str, Transform] = field(default_factory=dict)
    patient_digest: str = ""
    salt: str = ""
    audit: tuple[AuditEntry, ...] = ()
    folder: str = ""
    revision: int = 0

    def __post_init__(self) -> None:
        for name in ("volumes", "structures", "plans", "patient_from"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    def image(self, image_id: str = "") -> tuple[str, Volume]:
        """The image of that id, or the only one. Raises ChoiceError listing the choices otherwise."""
        if image_id and image_id in self.volumes:
            return image_id, self.volumes[image_id]
        if not image_id and len(self.volumes) == 1:
            return next(iter(self.volumes.items()))
        have = ", ".join(self.volumes) or "no image at all"
        raise ChoiceError(
            f"image {image_id!r}" if image_id else f"{len(self.volumes)} images and none chosen",
            have,
            "Choose one with --image",
        )

    def plan(self, plan_id: str = "") -> Plan:
        """The plan of that id, or the only one. Raises ChoiceError listing the choices otherwise."""
        if plan_id and plan_id in self.plans:
            return self.plans[plan_id]
        if not plan_id and len(self.plans) == 1:
            return next(iter(self.plans.values()))
        have = ", ".join(self.plans) or "no plan at all"
        raise ChoiceError(
            f"plan {plan_id!r}" if plan_id else f"{len(self.plans)} plans and none chosen",
            have,
            "Name the one that is meant" if self.plans else "Plan first",
        )

    def structures_of(self, image_id: str) -> dict[str, Structure]:
        """The structures that belong to an image, by name; one that names the image goes before one that names none."""
        found = [structure for structure in self.structures.values() if structure.image_id in ("", image_id)]
        found.sort(key=lambda structure: structure.image_id != "")
        return {structure.name: structure for structure in found}

    def with_volume(self, image_id: str, volume: Volume) -> Case:
        """With one image more. Raises MismatchError for another patient's image."""
        digest = volume.acquisition.patient_digest
        if digest and self.patient_digest and digest != self.patient_digest:
            raise MismatchError(
                f"image {image_id} of another patient",
                "images of the patient of this case",
                "Import it into a case of its own",
            )
        return replace(self, volumes={**self.volumes, image_id: volume}, patient_digest=self.patient_digest or digest)

    def with_structures(self, *structures: Structure) -> Case:
        """With these structures, replacing those of the same name on the same image."""
        held = dict(self.structures)
        for structure in structures:
            images = {held[structure.name].image_id, structure.image_id} if structure.name in held else set()
            held[structure_key(structure) if len(images - {""}) == 2 else structure.name] = structure
        return replace(self, structures=held)

    def with_plan(self, plan: Plan) -> Case:
        """With one plan more. Raises MismatchError when it was made on another patient."""
        digest = plan.provenance.patient_digest
        if digest and self.patient_digest and digest != self.patient_digest:
            raise MismatchError(f"plan {plan.id} of another patient", "a plan of the patient of this case")
        return replace(self, plans={**self.plans, plan.id: plan})

    def with_audit(self, entry: AuditEntry) -> Case:
        """With one line more in the record."""
        return replace(self, audit=(*self.audit, entry))
