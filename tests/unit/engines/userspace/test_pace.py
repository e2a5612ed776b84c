from testbed.engines.userspace.pace import REST_S, Pace

US = 1_000
MS = 1_000_000


def flood(pace, begin, end):
    """Rounds of a frame each, 20 us apart, each of which had to wait for its frame; returns whether each rests."""
    answers = []
    for now in range(begin, end, 20 * US):
        answers.append(pace.rests(1, now, more=False))
        pace.rested(now)
    return answers


def test_single_frames_and_their_answers_are_not_made_to_wait():
    pace = Pace(0)
    for now in range(0, 100 * MS, 10 * MS):
        pace.rested(now)
        assert not pace.rests(1, now, more=False)
        assert not pace.rests(1, now + 50 * US, more=False)


def test_a_flood_makes_the_worker_rest_after_a_millisecond():
    answers = flood(Pace(0), 0, 3 * MS)
    assert not any(answers[:50])
    assert all(answers[50:])


def test_a_busy_worker_goes_on_while_there_is_more_to_do_at_once():
    pace = Pace(0)
    flood(pace, 0, 2 * MS)
    assert not pace.rests(32, 2 * MS + 100 * US, more=True)
    assert pace.rests(5, 2 * MS + 200 * US, more=False)


def test_after_a_flood_the_next_single_frame_is_not_made_to_wait():
    pace = Pace(0)
    flood(pace, 0, 2 * MS)
    pace.rested(100 * MS)
    assert not pace.rests(1, 100 * MS, more=False)


def test_more_than_95_percent_of_the_time_is_never_taken():
    pace = Pace(0)
    now = worked = 0
    while now < 100 * MS:
        now += 150 * US
        worked += 150 * US
        if pace.rests(32, now, more=True):
            now += int(REST_S * 1e9)
            pace.rested(now)
    assert worked < 0.95 * now
