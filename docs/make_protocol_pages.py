"""The pages of the protocols that ship, made from their files: docs/protocols/<id>.md and index.md.

    python docs/make_protocol_pages.py

A test says when the pages are no longer what this would make. mkdocs.yml names each page.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from navplan.files.protocol_toml import read_devices, read_protocol
from navplan.model.device import Device
from navplan.model.protocol import Need, ProcedureProtocol, Sequence, ViewRequest, is_unsourced

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "protocols"
REGIONS = ("thorax", "abdomen", "spine", "musculoskeletal")
MARK = "**[u]**"  # behind a number that has no published source
NEEDS = {
    Need.OPTIONAL: "WARN where unknown", Need.REQUIRED: "must be known", Need.NOT_IMAGED: "**not imaged: at best WARN**"
}  # fmt: skip
LEGEND = f"{MARK}: the number, or a part of it, has no published source. It is a starting value, and yours to change."
CONTACT_WORDS = (
    "Bone stops the needle there. The shaft behind stays clear as above; a tip that is not proven to lie so, or behind"
    " which not enough bone is proven to be, is no PASS."
)
INDEX = f"""# Protocols

The procedures whose rules ship with navplan; each page is made from the file by `python docs/make_protocol_pages.py`.
For research, training and rehearsal: a protocol is no advice on how to treat a patient.

- *Unproven*: no case shows yet that the rules fit the procedure. Every judgement by it is at best a WARN.
- *Unsourced*: limits, wishes, error models, views and rules of order whose number, or a part of it, nobody has
  published. On a protocol's page they are marked {MARK}. A "millimetres to a structure" limit is hardly ever
  published: it is the user's choice.
- How to change a number, or write a protocol: `plugins/README.md`. What the parts are that they share:
  [decision 13](../decisions/0013-protocols-in-parts.md).

{{table}}

Embolisation and angiography have no protocol: a catheter follows vessels, and there is no straight needle path that
navplan could check. Their views (a vessel in its full length, with least bone over it) are found by
[`navplan fluoro`](../fluoroscopy.md). Cervical transforaminal injection is not shipped.
"""


def shipped() -> tuple[dict[str, ProcedureProtocol], dict[str, Device], dict[str, str]]:
    """Protocols and devices by their ids, from the files of this checkout, and the path of each protocol's file."""
    protocols: dict[str, ProcedureProtocol] = {}
    devices: dict[str, Device] = {}
    places: dict[str, str] = {}
    for package in sorted((ROOT / "plugins").glob("navplan_*")):
        for path in sorted(package.glob("protocols/*.toml")):
            protocol = read_protocol(path)
            protocols[protocol.id], places[protocol.id] = protocol, path.relative_to(ROOT).as_posix()
        for path in sorted(package.glob("devices/*.toml")):
            devices |= {device.id: device for device in read_devices(path)}
    order = sorted(protocols, key=lambda id: (_region(protocols[id]), id))
    return {id: protocols[id] for id in order}, devices, places


def pages() -> dict[str, str]:
    """File name to text of every page."""
    protocols, devices, places = shipped()
    made = {f"{id}.md": page(protocol, devices, places[id]) for id, protocol in protocols.items()}
    return {"index.md": index(protocols.values(), devices), **made}


def index(protocols: Iterable[ProcedureProtocol], devices: dict[str, Device]) -> str:
    """The page that lists them all."""
    head = ("protocol", "region", "level, side", "needle", "hard, crossed, order", "unsourced", "")
    rows = []
    for one in protocols:
        bare, of = unsourced(one)
        steps = f"{len(one.hard)}, {len(one.pass_through)}, {len(one.sequence_rules)}"
        state = "unproven" if one.unproven else "tried on cases"
        first = plain(devices[one.devices[0]].name)
        rows.append(
            (f"[{plain(one.title)}]({one.id}.md)", one.region, place(one), first, steps, f"{bare} of {of}", state)
        )
    return INDEX.format(table=table(head, rows))


def page(protocol: ProcedureProtocol, devices: dict[str, Device], path: str) -> str:
    """The page of one protocol."""
    bare, of = unsourced(protocol)
    parts = [f"# {plain(protocol.title)}", f"`{protocol.id}`, version {protocol.version}, from `{path}`."]
    if protocol.unproven:
        words = "No case shows yet that these rules fit the procedure. Every judgement by them is at best a WARN."
        parts.append(f'!!! warning "Unproven"\n    {words}')
    about = [
        ("procedure", plain(protocol.procedure)), ("region", protocol.region), ("level, side", place(protocol)),
        ("planned on", protocol.modality), ("patient positions", ", ".join(protocol.patient_positions)),
        ("breath state", protocol.breath_state), ("unsourced", f"{bare} of {of} limits, wishes, models, views, steps"),
        ("sources", plain(protocol.provenance)),
    ]  # fmt: skip
    if protocol.pleura_punctures_max is not None:
        words = f"at most {protocol.pleura_punctures_max} ({plain(protocol.pleura_punctures_source)})"
        about.append(("punctures of the pleura", words))
    parts += [table(("", ""), about), LEGEND]
    parts += ["## Checklist", "\n".join(f"- {plain(line)}" for line in protocol.checklist)]
    parts += _bleeding(protocol)
    parts += ["## Needles", "The first is the default. The diameter is that of the widest thing that follows the path."]
    parts.append(
        table(("needle", "gauge", "diameter, mm", "length, mm", "throw, mm", "source"), _needles(protocol, devices))
    )
    parts += [
        "## Never through",
        table(("structure", "at least, mm", "if unknown", "source", "note"), _limits(protocol)),
    ]
    parts += _contacts(protocol)
    crossed = [(f"`{rule.structure}`", plain(rule.source)) for rule in protocol.pass_through]
    parts += ["## May be crossed", "A hard limit on the same name comes first.", table(("structure", "why"), crossed)]
    parts += _ablation(protocol, devices)
    parts += _steps(protocol)
    views = [(plain(view.name), _angles(view), plain(view.purpose), plain(view.source)) for view in protocol.views]
    parts += [
        "## Views",
        "Angles in the patient's terms, where the detector is: from the front towards the left, then to the head.",
    ]
    parts.append(table(("view", "degrees", "purpose", "source"), views))
    parts += _wishes(protocol)
    parts += ["## Where no needle goes in", ", ".join(f"`{name}`" for name in protocol.entry_not_on) or "-"]
    parts += ["## Notes", "\n".join(f"- {plain(note)}" for note in protocol.notes)]
    return "\n\n".join(parts) + "\n"


def unsourced(protocol: ProcedureProtocol) -> tuple[int, int]:
    """How many of the limits, wishes, error models, views, steps and margins have no source for a number, and how many
    there are. What may be crossed has no number."""
    sources = [protocol.max_breach_probability.source, protocol.max_image_age_days.source]
    sources += [limit.contact.source for limit in protocol.hard if limit.contact]
    sources += [limit.source for limit in protocol.hard] + [wish.source for wish in protocol.soft]
    sources += [model.source for model in protocol.error_models] + [view.source for view in protocol.views]
    sources += [step.source for step in protocol.sequence_rules]
    if protocol.margin is not None:
        sources += [goal.source for goal in protocol.margin.goals]
        sources += [kept.source for kept in protocol.margin.protection]
    return sum(map(is_unsourced, sources)), len(sources)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Words as they are, and "unsourced" in bold."""
    for sign in ("\\", "*", "_", "<", "|", "[", "]"):
        text = text.replace(sign, f"&#{ord(sign)};" if sign in "|<" else f"\\{sign}")
    return text.replace("unsourced", "**unsourced**")


def number(value: float, source: str) -> str:
    """A number, marked where it has no source."""
    return f"{value:g}{f' {MARK}' if is_unsourced(source) else ''}"


def place(protocol: ProcedureProtocol) -> str:
    """Levels, the first and the last where they follow each other, and whether a side is asked for."""
    levels = protocol.levels
    shown = f"{levels[0]} to {levels[-1]}" if len(levels) > 2 else ", ".join(levels)
    return "; ".join(words for words in (shown, "left or right" if protocol.sided else "") if words) or "-"


def _region(protocol: ProcedureProtocol) -> int:
    return REGIONS.index(protocol.region) if protocol.region in REGIONS else len(REGIONS)


def _bleeding(protocol: ProcedureProtocol) -> list[str]:
    risk = protocol.bleeding_risk
    if risk is None:
        return []
    words = f"Category {plain(risk.category)}: INR at most {risk.inr_max}, platelets at least {risk.platelets_min}"
    return ["## Bleeding", f"Ticked by a person, never computed. {words} ({plain(risk.source)})."]


def _needles(protocol: ProcedureProtocol, devices: dict[str, Device]) -> list[tuple[str, ...]]:
    chosen = [devices[id] for id in protocol.devices]
    return [
        (
            plain(one.name),
            f"{one.gauge}",
            f"{one.diameter_mm:g}",
            f"{one.length_mm:g}",
            f"{one.throw_mm:g}",
            plain(one.source),
        )
        for one in chosen
    ]


def _limits(protocol: ProcedureProtocol) -> list[tuple[str, ...]]:
    return [
        (
            f"`{one.structure}`", "-" if one.needs is Need.NOT_IMAGED else number(one.min_clearance_mm, one.source),
            NEEDS[one.needs], plain(one.source), plain(one.note),
        )
        for one in protocol.hard
    ]  # fmt: skip


def _contacts(protocol: ProcedureProtocol) -> list[str]:
    """What the tip may rest on; nothing of a protocol that gives no such leave."""
    rows = [
        (
            f"`{one.structure}`", number(one.contact.tip_mm, one.contact.source),
            number(one.contact.depth_mm, one.contact.source), plain(one.contact.source),
        )
        for one in protocol.hard if one.contact
    ]  # fmt: skip
    return [
        "## The tip may rest on", CONTACT_WORDS,
        table(("structure", "the last so much of the needle, mm", "below its surface at most, mm", "source"), rows),
    ] if rows else []  # fmt: skip


def _ablation(protocol: ProcedureProtocol, devices: dict[str, Device]) -> list[str]:
    """Goal, neighbours and zones of an ablation; nothing of another procedure."""
    margin = protocol.margin
    if margin is None:
        return []
    goals = [(plain(one.words), number(one.goal_mm, one.source), plain(one.source)) for one in margin.goals]
    kept = [
        (
            f"`{one.structure}`", number(one.min_clearance_mm, one.source), "WARN" if one.warn_only else "FAIL",
            plain(one.source), plain(one.note),
        )
        for one in margin.protection
    ]  # fmt: skip
    zones = [
        (
            plain(device.name), plain(one.words), number(one.length_mm, one.source), number(one.width_mm, one.source),
            number(one.derating, one.source), plain(one.source),
        )
        for device in (devices[id] for id in protocol.devices) for one in device.zones
    ]  # fmt: skip
    head = ("needle", "setting", "length, mm", "width, mm", "derated to", "source")
    return [
        "## The margin", table(("tumour", "at least, mm", "source"), goals),
        "What the undegraded zone may not reach:",
        table(("structure", "at least, mm", "nearer", "source", "note"), kept),
        "Zones of the needles:", table(head, zones),
    ]  # fmt: skip


def _steps(protocol: ProcedureProtocol) -> list[str]:
    if not protocol.sequence_rules:
        return []
    rows = []
    for one in protocol.sequence_rules:
        computed = "ticked by a person" if one.rule is Sequence.PERSON else f"computed of `{one.structure}`"
        rows.append((plain(one.name), plain(one.words), computed, ", ".join(map(plain, one.views)), plain(one.source)))
    return ["## Rules of order", table(("rule", "what it asks", "", "views", "source"), rows)]


def _angles(view: ViewRequest) -> str:
    if view.primary_deg is None or view.secondary_deg is None:
        return "solved for"
    return f"{view.primary_deg:+g} / {view.secondary_deg:+g}{f' {MARK}' if is_unsourced(view.source) else ''}"


def _wishes(protocol: ProcedureProtocol) -> list[str]:
    wishes = [
        (
            f"`{one.metric}`",
            number(one.ideal, one.source),
            number(one.limit, one.source),
            f"{one.weight:g}",
            plain(one.source),
        )
        for one in protocol.soft
    ]
    models = [
        (
            f"`{one.id}`",
            plain(one.name),
            number(one.entry_sigma_mm, one.source),
            number(one.angle_sigma_deg, one.source),
            number(one.depth_sigma_mm, one.source),
            plain(one.source),
        )
        for one in protocol.error_models
    ]
    breach, age = protocol.max_breach_probability, protocol.max_image_age_days
    words = (
        f"A breach is allowed a probability of at most {number(breach.value, breach.source)}; the image may be"
        f" {number(age.value, age.source)} days old."
    )
    return [
        "## Wishes", "Each falls from its ideal (1) to where nothing is left of it (0).",
        table(("metric", "ideal", "nothing left", "weight", "source"), wishes), "## How far the needle strays",
        table(("model", "", "at the skin, mm", "angle, degrees", "depth of the stop, mm", "source"), models), words,
    ]  # fmt: skip


def main() -> None:
    """Write every page; remove what is no protocol's any more."""
    PAGES.mkdir(exist_ok=True)
    made = pages()
    for old in PAGES.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (PAGES / name).write_text(text, encoding="utf-8")
    print(f"{len(made)} pages in {PAGES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
