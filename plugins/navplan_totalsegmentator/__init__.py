"""TotalSegmentator as the user has installed it, run as a process of its own on CT and MR.

    I want to                                        it is in
    get its structures                               segmenter (entry points `totalsegmentator`, `...-fast`, `...-mr`)
    find the program, ask its version, call it       program
    run a program that can be stopped                process
    turn what it prints into progress                progress

TotalSegmentator (Wasserthal et al., Radiology: Artificial Intelligence 2023, doi 10.1148/ryai.230024) is no part of
navplan: it has its own licence, fetches its weights from the network at its first run, and sends anonymous statistics
of use unless its own settings forbid it.
"""
