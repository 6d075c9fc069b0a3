"""One patient (or phantom): images, structures, plans and the record of who did what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.model.plan import Plan
from navplan.model.registration import ImageRegistration, registration_key
from navplan.model.structure import Structure
from navplan.model.volume import Volume

MOST_EDITS = 10  # that can be undone; and that can be redone
MOST_VOXELS = 1 << 27  # of all structures together that undoing would bring back, or redoing; the last one always can


def _frozen(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(mapping))


def structure_key(structure: Structure) -> str:
    """NAME@IMAGE: the key of a structure whose name another image of the case has taken."""
    return f"{structure.name}@{structure.image_id}"


def _key_among(held: Mapping[str, Structure], structure: Structure) -> str:
    """The key that a structure takes the place of another under, or gets."""
    images = {held[structure.name].image_id, structure.image_id} if structure.name in held else set()
    return structure_key(structure) if len(images - {""}) == 2 else structure.name


def _voxels(structure: Structure | None) -> int:
    return 0 if structure is None or structure.occupancy is None else structure.occupancy.size


@dataclass(frozen=True)
class AuditEntry:
    """Who did what, when (ISO 8601, UTC); details are plain data."""

    when: str
    who: str
    action: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Edited:
    """One edit that can be undone, or redone: what was done to the structure under a key, in words, and what that
    brings back: the structure before the edit, or after it; None where it was not there."""

    key: str
    words: str
    before: Structure | None


def _without(edits: tuple[Edited, ...], keys: set[str]) -> tuple[Edited, ...]:
    return tuple(one for one in edits if one.key not in keys)


def _with_last(edits: tuple[Edited, ...], last: Edited) -> tuple[Edited, ...]:
    """With one more, without the oldest where that is too many or too large."""
    kept = [*edits, last][-MOST_EDITS:]
    while len(kept) > 1 and sum(_voxels(one.before) for one in kept) > MOST_VOXELS:
        del kept[0]
    return tuple(kept)


def _taken(edits: tuple[Edited, ...], key: str, does: str, done: str) -> tuple[Edited, tuple[Edited, ...]]:
    """The last one, or the last under a key, and the others. Raises InputError where there is none."""
    found = [n for n, one in enumerate(edits) if key in ("", one.key)]
    if not found:
        can = ", ".join(sorted({one.key for one in edits})) or "none is kept"
        raise InputError(f"{does} of an edit of {key}" if key else does, f"an edit that can be {done}: {can}")
    return edits[found[-1]], tuple(one for n, one in enumerate(edits) if n != found[-1])


@dataclass(frozen=True, eq=False)
class Case:
    """Everything about one patient. Never changed in place: the `with_` methods give a new one.

    volumes: image id -> Volume; structures: name -> Structure, for a name that another image has taken NAME@IMAGE
    (`structures_of` gives those of one image by their names); plans: plan id -> Plan; registrations:
    FIXED_from_MOVING -> how one image lies in the frame of another. edits: those that can be undone, undone: those that
    can be redone, the last one last. folder: where it was read from, "" while it is only in memory; revision: of that
    folder.
    """

    id: str = "case"
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    structures: Mapping[str, Structure] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    registrations: Mapping[str, ImageRegistration] = field(default_factory=dict)
    patient_digest: str = ""
    salt: str = ""
    audit: tuple[AuditEntry, ...] = ()
    folder: str = ""
    revision: int = 0
    edits: tuple[Edited, ...] = ()
    undone: tuple[Edited, ...] = ()

    def __post_init__(self) -> None:
        for name in ("volumes", "structures", "plans", "registrations"):
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
            "" if image_id else "Choose one with --image",
        )

    def plan(self, plan_id: str = "") -> Plan:
        """The plan of that id, or the only one. Raises ChoiceError listing the choices otherwise."""
        if plan_id and plan_id in self.plans:
            return self.plans[plan_id]
        if not plan_id and len(self.plans) == 1:
            return next(iter(self.plans.values()))
        if not self.plans:
            received = f"plan {plan_id!r}, and the case" if plan_id else "the case"
            raise ChoiceError(f"{received} has no plan at all", "a plan of the case", "Plan first: navplan plan")
        raise ChoiceError(
            f"plan {plan_id!r}" if plan_id else f"{len(self.plans)} plans and none chosen",
            ", ".join(self.plans),
            "Name the one that is meant",
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
        """With these structures, replacing those of the same name on the same image; their edits cannot be undone or
        redone any more."""
        held, changed = dict(self.structures), set()
        for structure in structures:
            key = _key_among(held, structure)
            held[key] = structure
            changed.add(key)
        return replace(
            self, structures=held, edits=_without(self.edits, changed), undone=_without(self.undone, changed)
        )

    def with_edited(self, structure: Structure, words: str) -> Case:
        """With an edited structure in the place of the one of its name and image; `without_edit` takes that back. What
        was undone of it cannot be redone any more.

        words: what was done. Kept are the last MOST_EDITS, fewer where what was before them is large (MOST_VOXELS).
        """
        key = _key_among(self.structures, structure)
        edits = _with_last(self.edits, Edited(key, words, self.structures.get(key)))
        undone = _without(self.undone, {key})
        return replace(self, structures={**self.structures, key: structure}, edits=edits, undone=undone)

    def without_edit(self, key: str = "") -> tuple[Case, Edited]:
        """With the structure of the last edit (or of the last one under that key) as it was before, and that edit.

        Raises InputError where no edit is kept.
        """
        edit, edits = _taken(self.edits, key, "undo", "undone")
        undone = _with_last(self.undone, Edited(edit.key, edit.words, self.structures.get(edit.key)))
        return replace(self, structures=self._brought_back(edit), edits=edits, undone=undone), edit

    def with_redone(self, key: str = "") -> tuple[Case, Edited]:
        """With the structure of the edit that was undone last (or of the last one under that key) as it was after the
        edit, and that edit.

        Raises InputError where none is kept.
        """
        edit, undone = _taken(self.undone, key, "redo", "redone")
        edits = _with_last(self.edits, Edited(edit.key, edit.words, self.structures.get(edit.key)))
        return replace(self, structures=self._brought_back(edit), edits=edits, undone=undone), edit

    def _brought_back(self, edit: Edited) -> dict[str, Structure]:
        if edit.before is None:
            return {name: structure for name, structure in self.structures.items() if name != edit.key}
        return {**self.structures, edit.key: edit.before}

    def with_plan(self, plan: Plan) -> Case:
        """With one plan more. Raises MismatchError when it was made on another patient."""
        digest = plan.provenance.patient_digest
        if digest and self.patient_digest and digest != self.patient_digest:
            raise MismatchError(f"plan {plan.id} of another patient", "a plan of the patient of this case")
        return replace(self, plans={**self.plans, plan.id: plan})

    def registration(self, fixed: str, moving: str) -> ImageRegistration:
        """How the image `moving` lies in the frame of `fixed`. Raises ChoiceError where nobody registered the two, and
        MismatchError where an image is not the one that was registered."""
        found = self.registrations.get(registration_key(fixed, moving))
        if found is None:
            raise ChoiceError(
                f"the registration of image {moving} to {fixed}",
                ", ".join(self.registrations) or "none in this case",
                f"Register them: navplan register CASE --fixed {fixed} --moving {moving}",
            )
        for image_id, digest in ((fixed, found.fixed_digest), (moving, found.moving_digest)):
            if self.image(image_id)[1].digest != digest:
                raise MismatchError(
                    f"a registration of another image {image_id} than the case now holds",
                    "the voxels that were registered",
                    "Register anew",
                )
        return found

    def with_registration(self, registration: ImageRegistration) -> Case:
        """With the place of one image in the frame of another, instead of an earlier one, whichever way round."""
        both = registration.key, registration_key(registration.moving, registration.fixed)
        kept = {key: one for key, one in self.registrations.items() if key not in both}
        return replace(self, registrations={**kept, registration.key: registration})

    def with_audit(self, entry: AuditEntry) -> Case:
        """With one line more in the record."""
        return replace(self, audit=(*self.audit, entry))
