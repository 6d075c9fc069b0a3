"""calibrate pivot and calibrate landmarks."""

from __future__ import annotations

from argparse import Namespace

from navplan.cli.moved_way import point_of
from navplan.cli.output import Output
from navplan.errors import InputError

DONE, FAILED = 0, 3


def do_calibrate(options: Namespace, output: Output) -> int:
    """The tip of a tool, or the patient."""
    return _pivot(options, output) if options.what == "pivot" else _landmarks(options, output)


def _pivot(options: Namespace, output: Output) -> int:
    from navplan.verbs.calibrate import pivot, save_tool, tool_of

    axis = point_of(options.axis, "--axis")
    found = pivot(options.file)
    outliers = int((~found.inliers).sum())
    lines = [
        found.words, f"rested at ({', '.join(f'{x:.2f}' for x in found.place_mm)}) mm in the tracker's frame",
        f"{outliers} outliers; residuals of the others at most {found.residuals_mm[found.inliers].max():.2f} mm",
    ]  # fmt: skip
    if options.out:
        tool = tool_of(
            found, identity=options.name, device=options.device, length_mm=options.length, axis=axis,
            axis_error_deg=options.axis_error,
        )  # fmt: skip
        save_tool(options.out, tool)
        lines.append(f"{options.out}: tool {tool.identity}, {tool.length_mm:g} mm")
        if axis is None:
            output.message("its axis was not measured: guidance will judge no margin with it (--axis and --axis-error)")
    elif axis is not None or options.axis_error is not None or options.length is not None or options.device:
        raise InputError("--axis, --axis-error, --length or --device without --out", "--out FILE.toml")
    told = {
        "tip_mm": found.tip_mm, "tip_error_mm": found.tip_error_mm, "place_mm": found.place_mm, "rms_mm": found.rms_mm,
        "poses": len(found.inliers), "outliers": outliers, "residuals_mm": found.residuals_mm, "inliers": found.inliers,
        "condition": found.condition, "cone_deg": found.cone_deg, "tool": options.out or None,
    }  # fmt: skip
    output.result("\n".join(lines), told)
    return DONE


def _landmarks(options: Namespace, output: Output) -> int:
    from navplan.verbs.calibrate import landmarks
    from navplan.verbs.case_verbs import open_case

    target = point_of(options.target, "--target")
    if options.image and not options.case:
        raise InputError(f"--image {options.image} of no case", "--case CASE as well")
    case = open_case(options.case) if options.case else None
    made = landmarks(options.fixed, options.moving, target, options.reference, case, options.image)
    found = made.registration
    lines = [found.words]
    for name, residual, left_out in zip(found.names, found.residuals_mm, found.left_out_mm, strict=True):
        beside = f"{left_out:.2f} mm off where the others put it" if left_out == left_out else "not checked by others"
        lines.append(f"   {name}: residual {residual:.2f} mm, {beside}")
    lines += [f"does not serve: {doubt}" for doubt in found.doubts]
    if target is None:
        lines.append("the error was asked for nowhere: name the target with --target=X,Y,Z")
    if options.out:
        made.save(options.out)
        lines.append(options.out + (f": by landmarks of image {found.image.id}" if found.image else ""))
        if found.image is None:
            output.message("it names no image: guidance is never green with it (--case and --image)")
    told = {
        "matrix": found.transform.matrix, "target": found.transform.target, "source": found.transform.source,
        "names": found.names, "residuals_mm": found.residuals_mm, "left_out_mm": found.left_out_mm,
        "errors_mm": found.errors_mm, "doubts": found.doubts, "serves": not found.doubts,
        "registration": options.out or None, "image": found.image,
    }  # fmt: skip
    output.result("\n".join(lines), told)
    return FAILED if found.doubts else DONE
