"""The stages that a frame crosses one after another on a link, in virtual time.

A stage accepts the frames of one batch in order, each with the time at which it reaches the stage, and returns those
that leave it, each with the time at which it leaves. The fate of a frame is decided when the frame arrives at the
link, so it depends only on arrival times and on the seed, never on when the process wakes.

Each random stage has its own generator (`stage.random_words`), seeded with the link's seed, the number of earlier
changes of the link's impairments, and the stage's name. The draws of one stage therefore never shift those of another,
and what happens before a change of impairments never shifts what happens after it. The docstring of each stage says
which word decides what; this is the same in every version.
"""
