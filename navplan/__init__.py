"""navplan: plan and rehearse image-guided needle interventions. For research, training and rehearsal.

The verbs load what they need when they are called; `import navplan` alone loads no numerical library.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_VERBS = {
    "open_case": "case_verbs", "save_case": "case_verbs", "import_images": "import_images", "inspect": "import_images",
    "pictures": "import_images",
    "phantom": "phantom", "segment": "segment", "absent": "segment", "edit": "edit", "undo_edit": "edit",
    "redo_edit": "edit",
    "plan": "plan", "check": "check",
    "transfer": "transfer", "needle_in": "needle", "compare": "compare", "by_hand": "by_hand", "drawn_way": "drawn_way",
    "carry": "carry", "register": "register", "register_shots": "register_shots",
    "approve": "approve", "withdraw": "approve", "standing": "approve",
    "listen": "pacs", "arrived": "pacs", "echo": "pacs",
    "guidance_of": "navigate", "replayed": "replay", "pivot": "calibrate", "landmarks": "calibrate",
    "fluoro": "fluoro", "scene": "scene", "report": "report", "demo": "demo", "plugins": "catalogue",
    "protocols": "catalogue", "lint_protocols": "catalogue", "devices": "catalogue", "phantoms": "catalogue",
    "segmenters": "catalogue", "scenarios": "catalogue", "rehearsal_of": "training", "train": "train",
    "score": "score", "scores": "score", "curves": "learning", "write_table": "learning",
    "make_block": "block", "find_block": "block", "block_score": "block_score",
}  # fmt: skip
__all__ = ["__version__", *sorted(_VERBS)]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("navplan")
    if name in _VERBS:
        return getattr(import_module(f"navplan.verbs.{_VERBS[name]}"), name)
    raise AttributeError(f"module 'navplan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
