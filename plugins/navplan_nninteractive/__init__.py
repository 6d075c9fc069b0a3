"""nnInteractive: structures by points, scribbles, lassos and boxes, on a server that the user runs.

    I want to                                     it is in
    draw one structure in an image                interaction (`Interaction`)
    have navplan's page offer it                  segmenter (`NNInteractiveSegmenter`)
    turn what is drawn on a slice into voxels     drawing
    reach the server, and say what went wrong     link
    refuse an answer that is none                 answers

nnInteractive (Isensee et al. 2025, arXiv 2503.08373) is no part of navplan. Its published client, without torch, is the
extra `interactive` (pip install "navplan[interactive]"); the server and its weights, which have a licence of their own,
are the user's. The voxels of the image are sent to it, and nothing else.
"""
