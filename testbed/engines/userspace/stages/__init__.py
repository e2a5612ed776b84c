"""The stages of a link that a frame crosses one after another, each in virtual time.

A stage takes the frames of one batch in order, each with the time at which it reaches the stage, and returns those
that leave it, each with the time at which it does. What happens to a frame here is decided when the frame arrives at
the link, so it depends on arrival times and on the seed alone, never on when the process woke.

Each stage that has something random about it has a generator of its own (`stage.words`), seeded with the link's seed,
how many sets of impairments the link has had before, and the stage's name: what one stage draws never shifts what
another draws, and what happened before a change of impairments never shifts what happens after it. Which word decides
on what is written at each stage, and is the same in every version.
"""
