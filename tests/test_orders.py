"""Orders, parts and samples: every way through a grid is a permutation, computed and never listed."""

import os
import tracemalloc
from collections import Counter
from itertools import pairwise, product

import pytest
from conftest import run_script
from hypothesis import given
from hypothesis import strategies as st

from taskexp import ArgumentTypeError, ArgumentValueError, Task
from taskexp.plan.permutation import Permutation
from taskexp.plan.route import Route

ORDERS = ["loop", "shuffle", "interleave"]

orders = st.sampled_from(ORDERS)
seeds = st.integers(-(10**20), 10**20)


def handed_out(exp, **loop):
    """Return the indices that a loop hands out, without running anything."""
    return [exe.index for exe in exp.executable_loop(use_tqdm=False, **loop)]


def first_index(exp, **loop):
    with exp.executable_loop(use_tqdm=False, **loop) as begun:
        return next(begun).index


def route_of(exp, **route):
    return Route(exp._points(), **route)


def visited(exp, **route):
    """Return the indices on a route, from its first step on, where `where` is not asked."""
    way = route_of(exp, **route)
    return [way.index(step) for step in range(way.first_step, way.step_count)]


# ---- grids


def task_of(sizes, repeat=None, repeat_at=0, program="true"):
    """Make a task of loops of the given sizes, with a repeat in front of loop `repeat_at`."""
    task = Task(program)
    for number, size in enumerate(sizes):
        if repeat is not None and number == repeat_at:
            task.repeat(repeat)
        task.arg(f"--a{number}", range(size))
    return task.repeat(repeat) if repeat is not None and repeat_at >= len(sizes) else task


@st.composite
def small_tasks(draw):
    """A task of a few points: some loops, some of them with a repeat, some of them sampled."""
    sizes = draw(st.lists(st.integers(1, 5), max_size=3))
    task = task_of(sizes)
    if draw(st.booleans()):
        task.sample(draw(st.integers(1, task.size)), draw(seeds))
    if draw(st.booleans()):
        task.repeat(draw(st.integers(1, 4)), draw(st.sampled_from([None, "--seed"])))
    if draw(st.booleans()):
        task.zip({"--y": range(n := draw(st.integers(1, 3))), "--z": range(n)})
    return task


@st.composite
def small_experiments(draw):
    first, *others = draw(st.lists(small_tasks(), min_size=1, max_size=3))
    return sum(others, start=first)


@st.composite
def large_tasks(draw):
    """A task of up to 10^15 points, by its sizes and the place of its repeat among them."""
    sizes, size = [], 1
    for radix in draw(st.lists(st.integers(1, 10**5) | st.integers(1, 10), min_size=1, max_size=10)):
        if size * radix <= 10**15:
            sizes.append(radix)
            size *= radix
    return sizes, draw(st.integers(0, len(sizes) - 1))


def positions_in(data, size, count=20):
    """Draw distinct positions, some of them neighbours, the first and the last among them."""
    drawn = data.draw(st.sets(st.integers(0, size - 1), min_size=min(size, 3), max_size=count))
    return sorted({0, size - 1, *drawn, *(position + 1 for position in drawn if position + 1 < size)})


# ---- the permutation behind them


@given(st.integers(1, 400), seeds)
def test_a_permutation_holds_every_number_once(size, seed):
    permutation = Permutation(size, f"{seed}")
    assert sorted(permutation[place] for place in range(size)) == list(range(size))


@pytest.mark.parametrize("size", [4095, 4096, 4097, 2**16 + 2])
def test_a_permutation_is_one_where_its_digits_get_longer(size):
    permutation = Permutation(size, "key")
    assert {permutation[place] for place in range(size)} == set(range(size))


@given(st.integers(10**3, 10**15), seeds, st.data())
def test_a_large_permutation_gives_distinct_numbers_inside_it(size, seed, data):
    permutation = Permutation(size, f"{seed}")
    places = positions_in(data, size, 40)
    numbers = {permutation[place] for place in places}
    assert len(numbers) == len(places)
    assert all(0 <= number < size for number in numbers)


def test_every_order_of_three_points_comes_about_as_often_as_any_other():
    task = Task("true").arg("--n", range(3))
    times = Counter(tuple(visited(task, order="shuffle", seed=seed)) for seed in range(1200))
    assert len(times) == 6
    assert all(120 < count < 280 for count in times.values())


def test_a_shuffle_spreads_the_points_over_all_positions():
    # The bounds are more than five standard deviations away: of the mean, and of the number of rises.
    task = Task("true").arg("--n", range(10**12))
    way = route_of(task, order="shuffle", seed=1)
    heads = [way.index(step) for step in range(1000)]
    assert abs(sum(heads) / 1000 - 10**12 / 2) < 0.05 * 10**12
    rising = sum(one < other for one, other in pairwise(heads))
    assert 430 < rising < 570


# ---- every order is a permutation of what is visited


@given(small_experiments(), orders, seeds)
def test_every_order_visits_every_point_of_the_loop_once(exp, order, seed):
    in_loop_order = visited(exp)
    assert len(set(in_loop_order)) == len(in_loop_order)
    assert sorted(visited(exp, order=order, seed=seed)) == sorted(in_loop_order)


@given(st.lists(st.lists(st.integers(1, 5), max_size=3).map(task_of), min_size=1, max_size=3))
def test_the_loop_order_of_an_unsampled_grid_is_that_of_the_indices(tasks):
    exp = sum(tasks[1:], start=tasks[0])
    assert visited(exp) == list(range(exp.size))


@given(large_tasks(), st.sampled_from(["loop", "shuffle"]), seeds, st.data())
def test_an_order_of_a_large_grid_repeats_no_point(large, order, seed, data):
    task = task_of(large[0])
    way = route_of(task, order=order, seed=seed)
    assert way.step_count == task.size
    positions = positions_in(data, task.size)
    indices = [way.index(position) for position in positions]
    assert len(set(indices)) == len(indices)
    assert all(0 <= index < task.size for index in indices)
    if order == "loop":
        assert indices == positions


@given(large_tasks(), st.integers(1, 10**5), st.data())
def test_interleave_runs_a_large_grid_round_by_round(large, rounds, data):
    sizes, repeat_at = large
    task = task_of(sizes, rounds, repeat_at)
    way = route_of(task, order="interleave")
    inner = 1
    for size in sizes[repeat_at:]:
        inner *= size
    for position in positions_in(data, task.size):
        number, place = divmod(position, task.size // rounds)
        outer, rest = divmod(place, inner)
        assert way.index(position) == (outer * rounds + number) * inner + rest
        assert task[way.index(position)].repeat == number


@given(st.lists(st.tuples(st.lists(st.integers(1, 4), max_size=2), st.none() | st.integers(1, 4), st.integers(0, 2))))
def test_interleave_takes_a_round_of_every_task_of_a_sum_before_the_next_round(described):
    exp, offset, rounds = Task("true"), 1, [[0], [], [], []]
    for sizes, repeat, repeat_at in described:
        exp += (task := task_of(sizes, repeat, repeat_at))
        for place in range(task.size):
            rounds[task[place].repeat].append(offset + place)
        offset += task.size
    assert visited(exp, order="interleave") == [index for each in rounds for index in each]
    numbers = [exp[index].repeat for index in visited(exp, order="interleave")]
    assert numbers == sorted(numbers)


@given(st.integers(1, 20), st.data(), seeds, st.integers(1, 4), st.integers(1, 3))
def test_interleave_keeps_the_draw_of_a_sample_in_every_round(size, data, seed, rounds, tail):
    count = data.draw(st.integers(1, size))
    drawn = visited(Task("true").arg("--n", range(size)).sample(count, seed))
    task = Task("true").arg("--n", range(size)).sample(count, seed).repeat(rounds).arg("--t", range(tail))
    expected = [(n, number, t) for number in range(rounds) for n in drawn for t in range(tail)]
    points = [task[index] for index in handed_out(task, order="interleave")]
    assert [(point["--n"], point.repeat, point["--t"]) for point in points] == expected


def test_interleave_without_a_repeat_is_the_order_of_the_loops():
    assert handed_out(task_of([2, 3]), order="interleave") == list(range(6))


def test_interleave_refuses_a_sample_that_was_drawn_among_the_repeats():
    task = Task("true").arg("--n", range(9)).repeat(2).sample(4)
    with pytest.raises(ArgumentValueError, match="call sample before repeat"):
        task.executable_loop(order="interleave")
    with pytest.raises(ArgumentValueError, match="call sample before repeat"):
        (Task("true") + task).executable_loop(order="interleave")
    assert len(handed_out(task, order="shuffle")) == 4


# ---- shuffle

GOLDEN = """
from taskexp import Task
ten = Task("true").arg("--n", range(10))
print([[exe.index for exe in ten.executable_loop(use_tqdm=False, order="shuffle", seed=seed)] for seed in (0, 1, -7)])
huge = Task("true").arg("--n", range(10**6)).arg("--m", range(10**6)).sample(10**9, 3)
print([next(iter(huge.executable_loop(at, False, order="shuffle", seed=10**30))).index for at in (0, 1, 10**9 - 1)])
print([point.index for point in Task("true").arg("--n", range(10**6)).sample(5, -1)])
"""


def test_a_seed_gives_the_same_order_and_the_same_sample_in_every_process(tmp_path):
    for hash_seed in ("1", "2"):
        done = run_script(GOLDEN, tmp_path, env={**os.environ, "PYTHONHASHSEED": hash_seed})
        assert done.stdout.splitlines() == [
            "[[0, 1, 8, 5, 7, 9, 4, 6, 2, 3], [0, 6, 8, 1, 7, 3, 4, 2, 5, 9], [5, 1, 3, 6, 7, 9, 2, 4, 0, 8]]",
            "[31750692345, 138393832219, 942341718510]",
            "[334536, 749459, 840404, 358816, 5187]",
        ]


@given(st.integers(30, 10**15), seeds, seeds)
def test_another_seed_is_another_order(size, seed, other):
    task = Task("true").arg("--n", range(size))
    orders = [[route_of(task, order="shuffle", seed=each).index(step) for step in range(30)] for each in (seed, other)]
    assert (orders[0] == orders[1]) == (seed == other)


def test_the_seed_is_zero_unless_it_is_given_and_changes_only_the_shuffle():
    task = task_of([5, 4], repeat=2)
    assert handed_out(task, order="shuffle") == handed_out(task, order="shuffle", seed=0)
    for order in ("loop", "interleave"):
        assert handed_out(task, order=order, seed=1) == handed_out(task, order=order, seed=2)


def test_a_sample_and_a_shuffle_of_one_seed_are_two_draws():
    task = Task("true").arg("--n", range(50))
    assert handed_out(task, order="shuffle", seed=4) != handed_out(Task("true").arg("--n", range(50)).sample(50, 4))


# ---- shards


@given(small_experiments(), orders, seeds, st.integers(1, 300))
def test_the_parts_of_every_order_cover_every_point_once(exp, order, seed, parts):
    whole = visited(exp, order=order, seed=seed)
    covered = [visited(exp, order=order, seed=seed, shard=(part, parts)) for part in range(parts)]
    assert sorted(index for part in covered for index in part) == sorted(whole)
    assert [part for part in covered if part] == [whole[k::parts] for k in range(min(parts, len(whole)))]


@given(large_tasks(), orders, seeds, st.integers(1, 10**15), st.data())
def test_each_position_of_a_large_grid_is_in_one_part(large, order, seed, parts, data):
    task = task_of(large[0], 2, large[1])
    whole = route_of(task, order=order, seed=seed)
    for position in positions_in(data, task.size, 5):
        part = route_of(task, order=order, seed=seed, shard=(position % parts, parts))
        assert position // parts < part.step_count
        assert part.index(position // parts) == whole.index(position)
    counts = [route_of(task, shard=(part, parts)).step_count for part in {0, parts // 2, parts - 1}]
    fewest, more = divmod(task.size, parts)
    assert counts == [fewest + (part < more) for part in {0, parts // 2, parts - 1}]


@pytest.mark.parametrize("order", ORDERS)
def test_with_more_parts_than_points_some_parts_are_loops_of_nothing(order):
    task = task_of([2, 2])
    parts = [handed_out(task, order=order, shard=(part, 7)) for part in range(7)]
    assert [len(part) for part in parts] == [1, 1, 1, 1, 0, 0, 0]
    assert sorted(index for part in parts for index in part) == [0, 1, 2, 3]
    assert task.run(order=order, shard=(6, 7), use_tqdm=False) == []


def test_an_empty_part_may_have_a_start():
    assert handed_out(task_of([2, 2]), shard=(5, 7), start=3) == []


def test_the_bar_of_a_part_counts_the_part(capsys):
    Task("true").arg("--n", range(7)).run(shard=(1, 3), ostreams=[])
    assert " 2/2 [" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("refused", "loop", "told"),
    [
        (ArgumentValueError, {"shard": (3, 3)}, "shard=(3, 3) is out of range"),
        (ArgumentValueError, {"shard": (-1, 3)}, "shard=(-1, 3) is out of range"),
        (ArgumentValueError, {"shard": (0, 0)}, "shard=(0, 0) is out of range"),
        (ArgumentTypeError, {"shard": 1}, "shard is a pair"),
        (ArgumentTypeError, {"shard": "01"}, "shard is a pair"),
        (ArgumentTypeError, {"shard": (0, 1, 2)}, "shard is a pair"),
        (ArgumentTypeError, {"shard": (0.0, 2)}, "shard is an int"),
        (ArgumentValueError, {"order": "random"}, "order='random' is not known"),
        (ArgumentValueError, {"order": None}, "order=None is not known"),
        (ArgumentTypeError, {"order": "shuffle", "seed": "a"}, "seed is an int"),
        (ArgumentTypeError, {"order": "shuffle", "seed": 1.5}, "seed is an int"),
        (ArgumentValueError, {"start": 6}, "start=6 is outside the loop of 6 points"),
        (ArgumentValueError, {"start": -1}, "start=-1 is outside"),
        (ArgumentTypeError, {"start": 1.0}, "start is an int"),
    ],
)
@pytest.mark.parametrize("call", ["executable_loop", "as_completed", "run"])
def test_an_order_a_part_or_a_start_that_makes_no_sense_is_refused(call, refused, loop, told):
    with pytest.raises(refused) as caught:
        getattr(task_of([2, 3]), call)(**loop)
    assert told in str(caught.value)


# ---- samples


@given(st.lists(st.integers(1, 6), max_size=3), seeds, st.data())
def test_a_sample_is_distinct_points_and_a_larger_one_begins_with_them(sizes, seed, data):
    size = task_of(sizes).size
    few = data.draw(st.integers(1, size))
    many = data.draw(st.integers(few, size))
    drawn = handed_out(task_of(sizes).sample(many, seed))
    assert len(set(drawn)) == len(drawn) == many
    assert set(drawn) <= set(range(size))
    assert handed_out(task_of(sizes).sample(few, seed)) == drawn[:few]


@given(large_tasks(), seeds, st.integers(1, 10**15), st.data())
def test_a_sample_of_a_large_grid_draws_distinct_points_and_a_larger_one_begins_with_them(large, seed, count, data):
    sizes, _ = large
    size = task_of(sizes).size
    count = min(count, size)
    few, everything = (route_of(task_of(sizes).sample(n, seed)) for n in (count, size))
    assert (few.step_count, everything.step_count) == (count, size)
    positions = positions_in(data, count)
    indices = [few.index(position) for position in positions]
    assert len(set(indices)) == len(indices)
    assert all(0 <= index < size for index in indices)
    assert [everything.index(position) for position in positions] == indices


def test_a_sample_of_the_whole_grid_is_every_point_once():
    assert sorted(handed_out(task_of([4, 5]).sample(20, 3))) == list(range(20))


@given(st.integers(40, 10**15), seeds, seeds)
def test_another_seed_is_another_sample(size, seed, other):
    draws = [visited(Task("true").arg("--n", range(size)).sample(30, each)) for each in (seed, other)]
    assert (draws[0] == draws[1]) == (seed == other)


def test_a_sample_keeps_the_size_the_indices_and_the_ids_of_the_full_grid():
    full = task_of([6, 7])
    task = task_of([6, 7]).sample(5, 1)
    assert (len(task), task.size) == (42, 42)
    assert [task[index].params for index in range(42)] == [full[index].params for index in range(42)]
    assert [(point.index, point.id) for point in task] == [(i, full[i].id) for i in handed_out(task)]


@given(st.integers(1, 30), seeds, st.integers(1, 4), st.data())
def test_loops_behind_a_sample_multiply_what_it_drew(size, seed, tail, data):
    count = data.draw(st.integers(1, size))
    drawn = handed_out(Task("true").arg("--n", range(size)).sample(count, seed))
    task = Task("true").arg("--n", range(size)).sample(count, seed).arg("--m", range(tail)).repeat(2)
    assert handed_out(task) == [(n * tail + m) * 2 + r for n in drawn for m in range(tail) for r in (0, 1)]


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 3), seeds, seeds, st.data())
def test_a_sample_behind_a_sample_draws_among_what_the_first_left(size, middle, tail, seed, other, data):
    first = data.draw(st.integers(1, size))
    second = data.draw(st.integers(1, first * middle))
    task = Task("true").arg("--n", range(size)).sample(first, seed).arg("--m", range(middle))
    among = set(handed_out(task))
    drawn = handed_out(task.sample(second, other))
    assert len(set(drawn)) == len(drawn) == second
    assert set(drawn) <= among
    assert handed_out(task.arg("--t", range(tail))) == [index * tail + t for index in drawn for t in range(tail)]


def test_where_drops_points_after_the_draw():
    drawn = handed_out(task_of([10, 10]).sample(40, 2))
    kept = [index for index in drawn if index % 3 == 0]
    assert 0 < len(kept) < 40
    assert handed_out(task_of([10, 10]).where(lambda p: p.index % 3 == 0).sample(40, 2)) == kept
    assert handed_out(task_of([10, 10]).sample(40, 2).where(lambda p: p.index % 3 == 0)) == kept


def test_every_point_is_drawn_about_as_often_as_any_other():
    times = Counter(index for seed in range(1000) for index in visited(task_of([2, 5]).sample(3, seed)))
    assert sorted(times) == list(range(10))
    assert all(220 < count < 380 for count in times.values())


@pytest.mark.parametrize(
    ("refused", "arguments", "told"),
    [
        (ArgumentValueError, (7,), "sample(7) is larger than the grid: the loops before it have 6 points"),
        (ArgumentValueError, (0,), "sample(0)"),
        (ArgumentValueError, (-1,), "sample(-1)"),
        (ArgumentTypeError, (2.0,), "sample: the number of points is an int"),
        (ArgumentTypeError, (2, "a"), "sample: the seed is an int"),
    ],
)
def test_a_sample_that_makes_no_sense_is_refused_and_leaves_the_task_as_it_was(refused, arguments, told):
    task = task_of([2, 3])
    with pytest.raises(refused) as caught:
        task.sample(*arguments)
    assert told in str(caught.value)
    assert handed_out(task) == list(range(6))


def test_a_sample_behind_a_sample_cannot_be_larger_than_what_is_left():
    task = task_of([10]).sample(3).arg("--m", [1, 2])
    with pytest.raises(ArgumentValueError, match="6 points"):
        task.sample(7)
    assert len(handed_out(task.sample(6))) == 6


# ---- from an index to its values and back


@st.composite
def described_loops(draw):
    """Loops of up to 10^15 points: each a list of axes (start, step) that advance together, and its length."""
    loops, size, repeated = [], 1, False
    for length in draw(st.lists(st.integers(1, 10**5) | st.integers(1, 9), min_size=1, max_size=10)):
        if size * length > 10**15:
            continue
        kind = draw(st.sampled_from(["arg", "zip", "zip env"] if repeated else ["arg", "zip", "zip env", "repeat"]))
        repeated |= kind == "repeat"
        axes = draw(
            st.lists(st.tuples(st.integers(-(10**9), 10**9), st.sampled_from([-3, 1, 7])), min_size=3, max_size=3)
        )
        loops.append((kind, axes, length))
        size *= length
    return loops, size


@given(described_loops(), st.data())
def test_an_index_becomes_the_values_that_arithmetic_gives_and_comes_back(described, data):
    loops, size = described
    task, names = Task("true"), []
    for number, (kind, axes, length) in enumerate(loops):
        values = [range(start, start + step * length, step) for start, step in axes]
        keys = [f"--{number}.{axis}" for axis in range(3)]
        if kind == "arg":
            task.arg(keys[0], values[0])
        elif kind == "repeat":
            task.repeat(length, keys[0])
        elif kind == "zip":
            task.zip(dict(zip(keys, values, strict=True)))
        else:
            task.zip(dict(zip(keys[:2], values[:2], strict=True)), env={f"E{number}": values[2]})
        names.append({"arg": keys[:1], "repeat": keys[:1], "zip": keys}.get(kind, [*keys[:2], f"E{number}"]))
    assert task.size == size
    index = data.draw(st.integers(0, size - 1))
    expected, rest, repeat = {}, index, 0
    digits = []
    for (kind, axes, length), keys in reversed(list(zip(loops, names, strict=True))):
        rest, digit = divmod(rest, length)
        digits.insert(0, digit)
        if kind == "repeat":
            repeat = digit
            axes = [(0, 1)]
        expected |= {key: start + step * digit for key, (start, step) in zip(keys, axes, strict=False)}
    point = task[index]
    assert point.params == expected
    assert (point.index, point.repeat) == (index, repeat)
    back = 0
    for (kind, axes, length), keys in zip(loops, names, strict=True):
        start, step = (0, 1) if kind == "repeat" else axes[0]
        back = back * length + (point[keys[0]] - start) // step
    assert back == index
    assert first_index(task, start=index) == index


# ---- ids


texts = st.sampled_from([0, 1, "1", 2, "x", "", None])


@st.composite
def tasks_with_twins(draw):
    """A small task that writes --a and --b in one of several ways, with equal values likely."""
    few = st.lists(texts, min_size=1, max_size=3)
    numbers = st.integers(1, 3).map(range)
    task = Task("x")
    match draw(st.sampled_from(["args", "zip", "fixed"])):
        case "args":
            task.arg("--a", draw(few | numbers)).arg("--b", draw(few | numbers))
        case "zip":
            rows = draw(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
            task.zip({"--a": [a for a, _ in rows], "--b": [b for _, b in rows]})
        case _:
            task.fixed("--b", draw(texts)).arg("--a", draw(few | numbers))
    if draw(st.booleans()):
        task.repeat(draw(st.integers(1, 3)))
    if draw(st.booleans()):
        task.fixed("--c", draw(texts))
    return task


def written(point):
    """What a point writes: 1 and "1" are one content, None and "None" are two."""
    return point.repeat, tuple(sorted((name, None if value is None else str(value)) for name, value in point.items()))


@given(st.lists(tasks_with_twins(), min_size=1, max_size=4))
def test_all_ids_of_a_sum_are_distinct_and_its_first_task_keeps_those_that_it_has_alone(tasks):
    exp = sum(tasks[1:], start=tasks[0])
    ids = [exp[index].id for index in range(exp.size)]
    assert len(set(ids)) == exp.size
    assert ids[: tasks[0].size] == [tasks[0][index].id for index in range(tasks[0].size)]


@given(tasks_with_twins(), tasks_with_twins())
def test_a_point_that_came_in_no_task_before_has_the_id_that_it_has_alone(first, second):
    exp = first + second
    before = {written(first[index]) for index in range(first.size)}
    for index in range(second.size):
        if written(second[index]) not in before:
            assert exp[first.size + index].id == second[index].id


@given(tasks_with_twins(), tasks_with_twins())
def test_the_ids_of_a_sum_are_the_same_set_in_either_order(first, second):
    assert {point.id for point in first + second} == {point.id for point in second + first}


def ids_by_content(task):
    found = {}
    for point in task:
        found.setdefault(written(point), set()).add(point.id)
    return found


rows = st.lists(st.tuples(texts, texts), min_size=1, max_size=3)


def widened(axis, pairs, repeat, key):
    task = Task("x").arg("--a", axis).zip({"--b": [b for b, _ in pairs], "--c": [c for _, c in pairs]})
    return task.repeat(repeat, key)


@given(
    st.tuples(st.lists(texts, min_size=1, max_size=2), rows, st.integers(1, 3)),
    st.tuples(st.lists(texts, max_size=2), rows, st.integers(0, 3)),
    st.sampled_from([None, "--seed"]),
    st.randoms(use_true_random=False),
)
def test_widening_an_axis_a_zip_and_a_repeat_keeps_the_ids_of_the_points_that_were_there(narrow, more, key, random):
    axis, pairs = [*narrow[0], *more[0]], [*narrow[1], *more[1]]
    random.shuffle(axis)
    random.shuffle(pairs)
    before = ids_by_content(widened(*narrow, key))
    after = ids_by_content(widened(axis, pairs, narrow[2] + more[2], key))
    assert all(ids <= after[point] for point, ids in before.items())


@given(large_tasks(), st.integers(1, 10**5), st.data())
def test_widening_a_large_grid_keeps_the_ids_of_its_points(large, more, data):
    sizes, widened_at = large
    wider = [size + more * (at == widened_at) for at, size in enumerate(sizes)]
    narrow, wide = task_of(sizes, 2), task_of(wider, 3)
    for position in positions_in(data, narrow.size, 5):
        point = narrow[position]
        index = point.repeat
        for at, size in enumerate(wider):
            index = index * size + int(point[f"--a{at}"])
        assert wide[index].id == point.id


# ---- all of it together


@given(
    small_experiments(),
    orders,
    seeds,
    st.integers(1, 5).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))),
    st.none() | st.integers(1, 4),
    st.data(),
)
def test_order_part_start_sample_and_where_together_leave_what_each_of_them_leaves(
    exp, order, seed, shard, modulus, data
):
    filtered = Task("true").arg("--w", range(10)).sample(data.draw(st.integers(1, 10)), seed).repeat(2)
    if modulus is not None:
        filtered.where(lambda p: p["--w"] % modulus == 0)
    both = exp + filtered
    way = visited(both, order=order, seed=seed)
    start = data.draw(st.integers(0, len(way) - 1))
    expected = [
        index
        for position, index in enumerate(way)
        if position >= start and position % shard[1] == shard[0]
        if index < exp.size or modulus is None or both[index]["--w"] % modulus == 0
    ]
    assert handed_out(both, order=order, seed=seed, shard=shard, start=start) == expected


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("max_workers", [1, 3])
def test_parts_of_an_order_run_every_point_once_between_them(order, max_workers, tmp_path):
    script = 'echo "$0 $TASKEXP_TEST" >> log'
    first = Task(["sh", "-c", script], cwd=tmp_path, env={"TASKEXP_TEST": lambda p: p.repeat})
    first.arg(None, range(30)).sample(6, 9).repeat(2).where(lambda p: p["arg1"] % 5 != 0)
    second = Task(["sh", "-c", script], cwd=tmp_path, env={"TASKEXP_TEST": "second"}).arg(None, [100, 101, 102])
    both = first + second
    loop = {"order": order, "seed": 8, "max_workers": max_workers, "use_tqdm": False, "ostreams": []}
    results = [result for part in range(3) for result in both.run(shard=(part, 3), **loop)]
    assert {result.status for result in results} == {"succeeded"}
    drawn = [point["arg1"] for point in Task("true").arg(None, range(30)).sample(6, 9)]
    expected = [f"{n} {r}" for n in drawn if n % 5 for r in (0, 1)] + [f"{n} second" for n in (100, 101, 102)]
    assert sorted((tmp_path / "log").read_text().splitlines()) == sorted(expected)
    assert sorted(result.index for result in results) == sorted(point.index for point in both)


@pytest.mark.parametrize("order", ORDERS)
def test_processes_run_one_after_the_other_in_the_chosen_order(order, tmp_path):
    task = (
        Task(["sh", "-c", 'echo "$0" >> log'], cwd=tmp_path)
        .fixed(None, lambda p: p.index)
        .arg("--n", range(4))
        .repeat(2)
    )
    task.run(order=order, seed=2, start=2, use_tqdm=False, ostreams=[])
    assert [int(line) for line in (tmp_path / "log").read_text().split()] == visited(task, order=order, seed=2)[2:]


@pytest.mark.parametrize("order", ORDERS)
def test_a_start_goes_on_where_a_loop_was_left(order):
    task = task_of([3, 4], 2)
    whole = handed_out(task, order=order, seed=6)
    for start in range(24):
        assert handed_out(task, order=order, seed=6, start=start) == whole[start:]


@pytest.mark.parametrize("order", ORDERS)
def test_one_start_splits_every_part_at_the_same_position(order):
    task = task_of([3, 4], 2)
    whole = handed_out(task, order=order, seed=6)
    for start, parts in product((0, 1, 7, 23), (1, 2, 5, 30)):
        left = [handed_out(task, order=order, seed=6, start=start, shard=(part, parts)) for part in range(parts)]
        assert sorted(index for part in left for index in part) == sorted(whole[start:])


# ---- lazily


def peak_bytes_of_beginning(size, order, sampled):
    tracemalloc.start()
    try:
        task = Task("true").arg("--n", range(size)).arg("--m", range(size))
        if sampled:
            task.sample(size * size // 2, 5)
        task.repeat(2)
        with task.executable_loop(use_tqdm=False, order=order, seed=3, start=size, shard=(0, 2)) as loop:
            indices = [next(loop).index for _ in range(3)]
        assert len(set(indices)) == 3
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sampled", [False, True])
def test_an_order_and_a_sample_of_10_to_the_12_begin_in_flat_memory(order, sampled):
    peak_bytes_of_beginning(10, order, sampled)  # what is imported at first use is no cost of the order
    assert peak_bytes_of_beginning(10**6, order, sampled) < 2 * peak_bytes_of_beginning(10, order, sampled) + 200_000


def test_orders_samples_and_parts_are_exact_where_len_ends():
    task = Task("true").arg("--n", range(10**20)).sample(10**20, 1).repeat(3)
    indices = {first_index(task, order=order, start=10**20 + step) for order in ORDERS for step in range(3)}
    assert len(indices) == 9
    assert all(0 <= index < task.size for index in indices)
    assert route_of(task, shard=(1, 10**19)).step_count == 30
