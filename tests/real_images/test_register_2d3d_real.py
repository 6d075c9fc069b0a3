"""2-D/3-D registration on the real chest CT, couch and all: shots ray by ray, of one energy, with noise. Those of a
peer's projector are the benchmark's (benchmarks/register_2d3d.py)."""

import numpy as np

from benchmarks.register_2d3d_worlds import VIEWS, beams, places_of, start_near, true_pose
from navplan.files.nifti import read_nifti
from navplan.fluoroscopy.drr import ProjectedCt
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.project import line_integrals
from navplan.fluoroscopy.register_shots import register_shots
from navplan.fluoroscopy.rigid_pose import apart_mm, beam_seen_from
from navplan.geometry.carm import Detector, view_words
from navplan.model.volume import Volume


def test_two_shots_of_the_real_chest_find_its_pose(real_images):
    voxels, grid, _ = read_nifti(real_images / "lidc0001_chest_ct" / "cxr_int16.nii.gz")
    volume = Volume(np.asfortranarray(np.rint(voxels).astype(np.int16)), grid)
    pose, detector, draw = true_pose(volume, 31), Detector(160, 160, 1.9), np.random.default_rng(5)
    tissue = np.maximum(volume.voxels, -1000).astype(np.float32) + 1000.0
    shots = []
    for angles, beam in zip(VIEWS, beams(), strict=True):
        integrals = line_integrals(tissue, grid, beam_seen_from(pose, beam), detector) * 2e-5
        counts = draw.poisson(2e4 * np.exp(-integrals))
        shots.append(KnownShot(-np.log(np.maximum(counts, 1.0)), beam, detector, view_words(angles)))
    ct, places = ProjectedCt(volume), places_of(pose)
    assert ct.cut.tolist() == [[False, False], [False, False], [True, True]]  # head and feet
    found = register_shots(ct, shots, start_near(pose, 32, 20.0), places_mm=places)
    assert apart_mm(found.transform.matrix, pose, places) < 0.5
    assert found.good and found.mtre_mm < 1.5
