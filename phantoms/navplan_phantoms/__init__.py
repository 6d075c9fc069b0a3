"""navplan_phantoms: digital phantoms made of analytic solids, with the truth beside them.

Depends on numpy alone and never on navplan, so that a test of navplan is never a test by navplan.

- `solids`: spheres, capsules, ellipsoids, boxes, tubes ... with exact signed distances, chords and segment distances;
- `certified`: bounds of distances and volumes for solids without a closed form;
- `rasterise`: fractional occupancy on a grid of any spacing and direction, with a stated promise;
- `abdomen`: `AbdomenPhantom().make()` gives a CT of the upper abdomen, its structures and `truth`, a dict for JSON;
- `lumbar` (`LumbarPhantom`) and `thorax` (`ChestPhantom`): the lumbar spine and the chest in the same way.

Coordinates are LPS (x to the patient's left, y to the back, z to the head) in millimetres; an affine takes an index
(i, j, k) to a voxel centre. Importing the package loads nothing else: import the module that you need.
"""
