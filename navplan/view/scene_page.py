"""A scene as one HTML file that opens from a disk: meshes, renderer and words in it, and nothing asked of a network.

The renderer is our own (web/), a tenth of a library's size: it does no more than this scene needs, and blends as the
still does. The content security policy admits the page's own script by its hash and nothing else.
"""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template

import numpy as np

from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Verdict
from navplan.view.colours import (
    GROUND_HIGH,
    GROUND_LOW,
    VERDICT_COLOURS,
    VERDICT_SYMBOLS,
    VERDICT_WORDS,
    Colour,
    anatomy_colour,
    spoken,
)
from navplan.view.orientation_figure import LETTERS, _figure
from navplan.view.packed_meshes import PackedMeshes
from navplan.view.scene_fusion import Fused
from navplan.view.scene_parts import FIRST_SIZE, Role, ScenePart, SceneParts, moving_meshes, scene_parts
from navplan.view.scene_words import OpenWords, PlacedWords, facts, open_words, placed_words
from navplan.view.scene_writing import FOR_RESEARCH, pretty, trajectory_words

_SCRIPTS = ("camera.js", "cutaway.js", "draw.js", "pick.js", "labels.js", "page.js")
_MOVING = ("shiny", "halos", "hidden", "gaps")  # as moving_meshes gives them
_LOOKS = {
    Role.GHOST: "ghost", Role.SKIN: "skin", Role.ENTRIES: "entries", Role.PLANE: "image", Role.CARRIED: "entries",
    Role.UPTAKE: "uptake",
}  # fmt: skip
_CUTS = {Role.ORGAN: "anatomy", Role.BONE: "anatomy", Role.SKIN: "skin", Role.ENTRIES: "entries"}
_GROUPS = {
    "Never hidden: they decide": (Role.TARGET, Role.DECIDING),
    "Organs": (Role.ORGAN, Role.GHOST),
    "Bones": (Role.BONE,),
    "Skin": (Role.SKIN, Role.ENTRIES),
    "Second image": (Role.PLANE, Role.CARRIED, Role.UPTAKE),
}
_REACH = {"S": 1.22, "I": 1.22, "L": 0.82, "R": 0.82, "A": 0.62, "P": 0.62}  # of a letter from the figure's middle
_VIEWS = (
    ("0", "First view"), ("a", "A"), ("p", "P"), ("l", "L"), ("r", "R"), ("s", "S"), ("i", "I"),
    ("n", "Along the needle"),
)  # fmt: skip
_KEYS = (
    ("Turn", "drag, one finger, arrow keys"),
    ("Move", "right button or Shift and drag, two fingers, Shift and arrow keys"),
    ("Nearer, farther", "wheel, two fingers, + and -"),
    ("Look from", "A P L R S I, N along the needle, 0 or Home as at first"),
    ("Cutaway", "C"),
    ("What is this?", "rest the pointer on it, or tap"),
)


def scene_page(
    case: Case, plan: Plan | None = None, trajectory: int = 0, *, image_id: str = "", fused: Fused | None = None
) -> str:
    """The page's HTML.

    It holds of the patient what a still's writing holds: position, kind and date of the image, names of structures.

    Raises what `scene_parts` raises.
    """
    return page_of(scene_parts(case, plan, trajectory, image_id=image_id, fused=fused))


def page_of(scene: SceneParts) -> str:
    """The HTML of a scene."""
    web = files("navplan.view").joinpath("web")
    style = web.joinpath("page.css").read_text(encoding="utf-8")
    parts = "\n".join(web.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS)
    script = f'(() => {{\n"use strict";\n{parts}}})();\n'
    packed = PackedMeshes()
    data = _data(scene, packed)
    verdict = scene.ranked.verdict if scene.ranked is not None else None
    target = f"Target: {_target_name(scene)}" if scene.plan is not None else "Anatomy"
    return Template(web.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(target, quote=True),
        version=escape(version("navplan")),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        verdict=verdict.value if verdict is not None else "",
        head=_head(scene),
        tools=_tools(scene),
        legend=_legend(scene),
        words=_second(scene) + _words(scene),
        structures=_structures(scene),
        keys=_keys(),
        facts=escape("  ·  ".join([*facts(scene), *_judged(scene)])),
        for_research=FOR_RESEARCH,
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        meshes=b64encode(packed.data).decode("ascii"),
    )


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _data(scene: SceneParts, packed: PackedMeshes) -> dict[str, object]:
    """What the script reads beside the meshes."""
    needle: dict[str, object] = {}
    if scene.needle:
        shapes = zip(*(moving_meshes(one) for _, one in scene.needle), strict=True)
        needle = {name: packed.add(*frames) for name, frames in zip(_MOVING, shapes, strict=True)}
        needle["cone"] = packed.add(scene.needle[0][1].cone)
    camera, everything = scene.camera, [part.mesh.points_mm for part in scene.parts]
    way = scene.ranked.trajectory if scene.ranked is not None else None
    ends = [] if way is None else [way.point_at_mm(way.tip_depth_mm - way.device.length_mm), way.swept_end_mm]
    return {
        "parts": [_part(scene, part, packed) for part in scene.parts],
        "needle": needle,
        "sizes": [size for size, _ in scene.needle],
        "figure": packed.add(_figure()),
        "letters": {name: (np.asarray(LETTERS[name]) * reach).tolist() for name, reach in _REACH.items()},
        "camera": {
            "position": camera.position_mm, "focal": camera.focal_mm, "up": camera.up, "angle": camera.view_angle_deg
        },
        "aspect": FIRST_SIZE[0] / FIRST_SIZE[1],
        "reach": float(np.ptp(np.concatenate(everything), axis=0).max() / 2) if everything else 100.0,
        "shaft": None if scene.shaft_mm is None else scene.shaft_mm.tolist(),
        "spots": [] if scene.spots_mm is None else np.round(scene.spots_mm, 3).tolist(),
        "needle_drawn": [np.asarray(end).tolist() for end in ends] or None,
        "labels": [_label(scene, words) for words in placed_words(scene)],
        "ground": [[value / 255 for value in colour] for colour in (GROUND_LOW, GROUND_HIGH)],
    }  # fmt: skip


def _part(scene: SceneParts, part: ScenePart, packed: PackedMeshes) -> dict[str, object]:
    return {
        **packed.add(part.mesh),
        "title": _title(part),
        "note": _note(scene, part)[0],
        "look": _LOOKS.get(part.role, "solid"),
        "cut": _CUTS.get(part.role, "none"),
    }


def _label(scene: SceneParts, words: PlacedWords) -> dict[str, object]:
    assert scene.ranked is not None
    verdict = words.verdict
    return {
        "at": words.at_mm if words.at_mm is not None else scene.ranked.trajectory.entry_mm,
        "pointed": words.at_mm is not None,
        "more": words.open_item,
        "title": words.title,
        "detail": words.detail,
        "colour": _css(words.colour),
        "verdict": verdict.value if verdict is not None else "",
        "symbol": VERDICT_SYMBOLS[verdict] if verdict is not None else "",
    }


def _title(part: ScenePart) -> str:
    return "entries on the skin" if part.role is Role.ENTRIES else spoken(part.name)


def _note(scene: SceneParts, part: ScenePart) -> tuple[str, Verdict | None]:
    """How far the needle is from a structure, and what that is judged to be; nothing where it was not measured."""
    if part.role is Role.CARRIED and scene.fused is not None:
        mark = next(one for one in scene.fused.marks if part.name == f"{one.name} from {one.image}")
        return mark.within, mark.verdict
    clearances = scene.ranked.report.clearances if scene.ranked is not None else ()
    finding = next((one for one in clearances if one.structure == part.name), None)
    if finding is None or part.role in (Role.SKIN, Role.ENTRIES):
        return "", None
    return f"{finding.distance}, {VERDICT_WORDS[finding.verdict]}", finding.verdict


def _target_name(scene: SceneParts) -> str:
    name = scene.plan.target.structure if scene.plan is not None else ""
    return spoken(name) if name else "a bare point"


def _badge(verdict: Verdict) -> str:
    return f'<span class="badge" data-verdict="{verdict.value}" aria-hidden="true">{VERDICT_SYMBOLS[verdict]}</span>'


def _head(scene: SceneParts) -> str:
    if scene.plan is None or scene.ranked is None:
        return "<div><h1>Anatomy, without a plan</h1><p>Nothing was judged</p></div>"
    verdict = scene.ranked.verdict
    headline = escape(pretty(scene.ranked.report.headline))
    way = escape(trajectory_words(scene.ranked, scene.plan.patient_position))
    return f"{_badge(verdict)}<div><h1><strong>{VERDICT_WORDS[verdict]}</strong>{headline}</h1><p>{way}</p></div>"


def _judged(scene: SceneParts) -> tuple[str, ...]:
    day = scene.ranked.report.checked_on[:10] if scene.ranked is not None else ""
    return (f"judged {day}",) if day else ()


def _tools(scene: SceneParts) -> str:
    views = _VIEWS if scene.ranked is not None else _VIEWS[:-1]
    return "".join(f'<button type="button" data-view="{key}">{words}</button>' for key, words in views)


def _legend(scene: SceneParts) -> str:
    rows = "".join(
        f'<li><i data-colours="{" ".join(map(_css, colours))}"></i><span>{escape(words)}</span></li>'
        for colours, words in scene.legend
    )
    return f'<ul id="legend" aria-label="Colours">{rows}</ul>' if rows else ""


def _second(scene: SceneParts) -> str:
    """Which image lies over which, by what tie, how far off it may be."""
    if scene.fused is None:
        return ""
    tie = VERDICT_COLOURS[scene.fused.verdict]
    classes = [f' class="np-{scene.fused.verdict.value}"' if tint == tie else "" for _, tint in scene.fused.words]
    told = zip(classes, scene.fused.words, strict=True)
    rows = "".join(f"<li{kind}>{escape(words)}</li>" for kind, (words, _) in told)
    return f'<details class="pane" open><summary><h2>Second image</h2></summary><ul class="todo">{rows}</ul></details>'


def _words(scene: SceneParts) -> str:
    """Target, needle, the nearest two, and what is left to do."""
    if scene.ranked is None:
        return ""
    told = "".join(
        f"<li>{_badge(words.verdict) if words.verdict is not None else ''} <b>{escape(words.title)}</b>"
        f'<small class="note"> {escape(words.detail)}</small></li>'
        for words in placed_words(scene)
        if not words.open_item
    )
    todo = "".join(_to_do(one) for one in open_words(scene.ranked.report))
    return (
        f'<details><summary><h2>In words</h2></summary><ul class="todo">{told}</ul></details>'
        '<details class="pane" open><summary><h2>To do, and not imaged</h2></summary>'
        f'<ul class="todo">{todo}</ul></details>'
    )


def _to_do(one: OpenWords) -> str:
    verdict, beneath = one.verdict, "".join(map(_to_do, one.lines))
    return (
        f'<li><b class="np-{verdict.value}">{VERDICT_SYMBOLS[verdict]} {VERDICT_WORDS[verdict]}</b> {escape(one.words)}'
        f"<small>{escape(one.remedy)}</small>{f'<ul>{beneath}</ul>' if beneath else ''}</li>"
    )


def _structures(scene: SceneParts) -> str:
    cut = '<input type="checkbox" id="cutaway" hidden disabled>'
    if scene.shaft_mm is not None:
        box = '<input type="checkbox" id="cutaway" checked>'
        hidden = "the needle" if scene.ranked is not None else "where the planes cross"
        cut = f'<p class="only-picture"><label>{box}Cutaway: what hides {hidden} is faded</label></p>'
    groups = "".join(_group(scene, words, roles) for words, roles in _GROUPS.items())
    return f'<details class="pane" open><summary><h2>Structures shown</h2></summary>{cut}{groups}</details>'


def _group(scene: SceneParts, words: str, roles: tuple[Role, ...]) -> str:
    rows = "".join(_row(scene, place, part) for place, part in enumerate(scene.parts) if part.role in roles)
    if not rows:
        return ""
    all_of_them = f'<label><input type="checkbox" data-group="{roles[0].value}" checked>{words}</label>'
    legend_words = words if roles[0] is Role.TARGET else all_of_them
    return f'<fieldset><legend>{legend_words}</legend><ul class="parts">{rows}</ul></fieldset>'


def _row(scene: SceneParts, place: int, part: ScenePart) -> str:
    group = next(roles[0] for roles in _GROUPS.values() if part.role in roles)
    note, verdict = _note(scene, part)
    kept = " disabled" if part.never_hidden else ""
    own = part.role in (Role.TARGET, Role.PLANE, Role.CARRIED, Role.UPTAKE)
    colour = np.median(part.mesh.rgb, axis=0) if own else np.asarray(anatomy_colour(part.name))
    swatch = _css((int(colour[0]), int(colour[1]), int(colour[2])))
    told = f'<small class="np-{verdict.value}">{VERDICT_SYMBOLS[verdict]} {escape(note)}</small>' if verdict else ""
    return (
        f'<li><label><input type="checkbox" data-part="{place}" data-of="{group.value}" checked{kept}>'
        f'<i data-colours="{swatch}"></i>{escape(_title(part))}</label>{told}</li>'
    )


def _keys() -> str:
    rows = "".join(f"<dt>{what}</dt><dd>{how}</dd>" for what, how in _KEYS)
    summary = "<summary><h2>Mouse, touch, keys</h2></summary>"
    return f'<details id="keys" class="only-picture">{summary}<dl>{rows}</dl></details>'
