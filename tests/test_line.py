"""A sweep from one line: its words, its loops with their names and values, its ids, its labels, its mistakes."""

import json
import shlex
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskexp import Task, TaskExpError

LINE = "python train.py --lr {1e-3,1e-4} --seed {1..5} {--amp,}"


def commands(line, **options):
    return [point.argv for point in Task.from_command(line, **options)]


def params(line, index=0, **options):
    return Task.from_command(line, **options)[index].params


def labels(task):
    return [point.label for point in task]


def written(argv):
    """Return what the shell's command prints."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


# ---- the words


def test_each_group_is_a_loop_and_the_last_varies_fastest():
    assert commands(LINE) == [
        ["python", "train.py", "--lr", lr, "--seed", str(seed), *amp]
        for lr in ("1e-3", "1e-4")
        for seed in range(1, 6)
        for amp in (["--amp"], [])
    ]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_a_line_of_quoted_words_has_these_words(words):
    assert commands(f"x {shlex.join(words)}") == [["x", *words]]


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("x  a\tb\nc\r\n", ["x", "a", "b", "c"]),
        (r'x a\ b "c d"e' + " 'f g'", ["x", "a b", "c de", "f g"]),
        ("x a \\\n  --b c\\\nd 'e\\\nf'", ["x", "a", "--b", "cd", "e\\\nf"]),
        (r'x "\$a\`\"\\ \x"', ["x", '$a`"\\ \\x']),
        ("x $HOME *.c ~ `d` #e a|b a>b", ["x", "$HOME", "*.c", "~", "`d`", "#e", "a|b", "a>b"]),
        ("find . -exec rm {} \\; -o '|' \">\"", ["find", ".", "-exec", "rm", "{}", ";", "-o", "|", ">"]),
        ("x {a, b}", ["x", "{a,", "b}"]),
        ("x {abc} {} {a} ${a,b} a{b", ["x", "{abc}", "{}", "{a}", "${a,b}", "a{b"]),
        ("x '' \"\"", ["x", "", ""]),
    ],
)
def test_a_line_without_groups_is_one_point_whose_words_a_shell_would_pass(line, argv):
    assert commands(line) == [argv]
    assert params(line) == {}


@pytest.mark.parametrize("value", [{"a": 1}, {"a": [1, 2], "b": {"c": "'d', {e,f}"}}])
def test_quoted_json_survives(value):
    text = json.dumps(value)
    assert [json.loads(argv[2]) for argv in commands(f"x --config {shlex.quote(text)} {{1..2}}")] == [value] * 2


def test_the_program_may_be_looped_over():
    assert commands("{gcc,clang} -O{1,2} x.c") == [
        [program, f"-O{level}", "x.c"] for program in ("gcc", "clang") for level in (1, 2)
    ]
    assert params("{gcc,clang} -O{1,2} x.c", 3) == {"arg1": "clang", "-O": 2}
    assert commands("{,time} {a,b}{c,} d") == [
        [*head, word, "d"] for head in ([], ["time"]) for word in ("ac", "a", "bc", "b")
    ]
    assert repr(Task.from_command("{gcc,clang} x.c")) == "<Task {...}: 2 points>"


def test_words_between_and_behind_the_loops_keep_their_places():
    assert commands("x a {b,c} d --e {1,2} f g-{3..4} h")[-1] == ["x", "a", "c", "d", "--e", "2", "f", "g-4", "h"]
    assert params("x a {b,c} d --e {1,2} f g-{3..4} h") == {"arg1": "b", "--e": 1, "arg2": 3}


def test_an_empty_alternative_adds_nothing_and_a_quoted_one_an_empty_word():
    assert commands("x {a,,b} y") == [["x", "a", "y"], ["x", "y"], ["x", "b", "y"]]
    assert commands("x {a,'',} y") == [["x", "a", "y"], ["x", "", "y"], ["x", "y"]]
    assert commands("x {a,}{b,''}") == [["x", "ab"], ["x", "a"], ["x", "b"], ["x", ""]]
    assert commands("x ''{a,}") == [["x", "a"], ["x", ""]]
    assert commands("x --k {a,} --l={b,}") == [["x", "--k", *a, f"--l={b}"] for a in (["a"], []) for b in ("b", "")]
    assert commands("x --k {a,''}") == [["x", "--k", "a"], ["x", "--k", ""]]


# ---- names and values


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (LINE, ["--lr", "--seed", "--amp"]),
        ("x {,--amp} {a,b} {c,d}", ["--amp", "arg1", "arg2"]),
        ("x --key={a,b} lr={1,2}", ["--key=", "lr="]),
        ("x out-{a,b}-{1..3}.txt {c,d}", ["arg1", "arg2", "arg3"]),
        ("x {c,d} {a,b}{1,2} {e,f}", ["arg1", "arg2", "arg3", "arg4"]),
        ("x --shape={64,128}x{64,128} --shape={1,2}", ["--shape", "--shape#2", "--shape="]),
        ("x -O{1,2,3} -I{a,b} -I{a,b}", ["-O", "-I", "-I#2"]),
        ("x -I {a,b} -I {a,b}", ["-I", "-I#2"]),
        ("x --{amp,bf16} -{v,q} if=/dev/{a,b}", ["arg1", "arg2", "if"]),
        ("x -- {a,b} - {c,d} --k=v {e,f}", ["arg1", "arg2", "arg3"]),
        ("x --k {a,b,} -k{c,} {d,}", ["arg1", "-k", "d"]),
        ("-x {a,b}", ["arg1"]),
        ("x '--k' {a,b} \"--l\"={c,d}", ["--k", "--l="]),
    ],
)
def test_the_loops_are_called(line, names):
    assert list(params(line)) == names


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("64", 64), ("-3", -3), ("0", 0), ("0.1", 0.1), ("-2.5", -2.5), ("1e-05", 1e-05), ("1e+16", 1e16)),
        *(
            (text, text)
            for text in ("1e-3", "007", "-0", "+1", "1.", ".5", "1.0e3", "1_000", "0x10", "\u0663", "1e400")
        ),
        *((text, text) for text in ("nan", "inf", "True", "None", "0.10", "9" * 5000, "1e+400")),
        *((f"{'9' * 400}", int("9" * 400)), ("'5'", 5), ("a b", "a b"), ("-0.0", -0.0)),
    ],
)
def test_a_value_is_a_number_where_it_would_be_written_the_same(text, value):
    quoted = text if text.startswith("'") else shlex.quote(text)
    point = Task.from_command(f"x -- {{{quoted},other}}")[0]
    assert (point["arg1"], type(point["arg1"])) == (value, type(value))
    assert point.argv[2:] == [text.strip("'")]


def test_a_switch_is_a_bool_and_a_sequence_gives_ints():
    assert params(LINE, -1) == {"--lr": "1e-4", "--seed": 5, "--amp": False}
    assert [point["arg1"] for point in Task.from_command("x {08..10}")] == ["08", "09", 10]


# ---- ids


def test_a_line_names_its_points_as_the_builder_does():
    built = Task("python train.py").arg("--lr", ["1e-3", "1e-4"]).arg("--seed", range(1, 6)).switch("--amp")
    assert [point.id for point in Task.from_command(LINE)] == [point.id for point in built]
    assert [point.params for point in Task.from_command(LINE)] == [point.params for point in built]


@pytest.mark.parametrize("word", ["{}", "--n {}", "--n={}", "a-{}", "{}x{{5,6}}"])
@pytest.mark.parametrize("shell", [False, True])
def test_a_list_of_numbers_and_a_sequence_have_the_same_ids(word, shell):
    listed, counted = (Task.from_command("x " + word.format(each), shell=shell) for each in ("{1,2,3}", "{1..3}"))
    assert [point.id for point in listed] == [point.id for point in counted]
    assert len({point.id for point in listed}) == listed.size


def test_a_wider_line_keeps_the_ids_of_its_points():
    narrow, wide = (Task.from_command(f"x a-{{{each}}}.txt b") for each in ("2..3", "1..9"))
    assert [point.id for point in narrow] == [point.id for point in wide][1:3]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x a{1,2}b", "x a{1,2}c"),
        ("x {1,2} a {3,4}", "x {1,2} {3,4} a"),
        ("x {1,2} a b", "x {1,2} b a"),
        ("x {1,2} a b", "x {1,2} 'a b'"),
        ("x a{1,2}{3,4}", "x a{1,2} {3,4}"),
        ("x {'',a}{b,}", "x {,a}{b,}"),
        ("{x,y} a", "{x,y}"),
    ],
)
def test_commands_that_differ_have_ids_that_differ(one, other):
    first, second = ({point.id: point.argv for point in Task.from_command(line)} for line in (one, other))
    shared = first.keys() & second.keys()
    assert [first[name] for name in shared] == [second[name] for name in shared]
    assert first != second


def test_the_empty_argument_and_none_are_told_apart():
    ids = [point.id for point in Task.from_command("x {'',}{'',}")]
    assert len(set(ids)) == 4
    assert commands("x {'',}{'',}") == [["x", ""], ["x", ""], ["x", ""], ["x"]]


def test_equal_points_of_two_lines_are_told_apart_in_a_sum():
    task = Task.from_command("x a-{1..3} b") + Task.from_command("x a-{3,4} b")
    assert len({point.id for point in task}) == 5
    assert task[3].argv == task[2].argv


# ---- builder calls behind it


def test_builder_calls_go_on_where_the_line_ends():
    task = Task.from_command("x a-{1,2} {3,4}", env={"A": "1"}).arg(None, [5, 6]).env("B", [1, 2]).repeat(2)
    task.where(lambda p: p["arg1"] == 2).wraps("nice -n 5")
    assert task.size == 32
    assert len(list(task)) == 16
    assert task[-1].argv == ["nice", "-n", "5", "x", "a-2", "4", "6"]
    assert task[-1].params == {"arg1": 2, "arg2": 4, "arg3": 6, "B": 2}
    assert task[-1].env == {"A": "1", "B": "2"}


def test_a_sample_of_a_line_has_distinct_points_of_it():
    task = Task.from_command("x a-{1..1000000}-{1..1000000} --s {1..5}").sample(50)
    with task.executable_loop(use_tqdm=False) as loop:
        indices = [exe.index for exe, _ in zip(loop, range(5), strict=False)]
    assert len(set(indices)) == 5
    assert all(task[index].index == index for index in indices)


def test_a_function_of_the_point_sees_the_loops_of_the_line():
    task = Task.from_command("x a-{1..3}").fixed("--out", lambda p: f"{p['arg1']}.json")
    assert task[1].argv == ["x", "a-2", "--out", "2.json"]


@pytest.mark.parametrize("shell", [False, True])
def test_a_grid_of_10_to_the_24_costs_nothing(shell):
    begin = time.process_time()
    task = Task.from_command("x --n {1..1000000000000} a-{1000000000000..1}", shell=shell)
    assert task.size == 10**24
    assert task[10**24 - 1].argv[-1].endswith("a-1")
    assert task[10**12].params["--n"] == 2
    assert len({task[10**23].id, task[10**23 + 1].id}) == 2
    assert task[1].label
    assert time.process_time() - begin < 1


def test_a_line_is_run():
    results = Task.from_command("printf %s {a,b}-{1..2}").run(ostreams=[])
    assert [result.status.value for result in results] == ["succeeded"] * 4
    assert results[3].argv == ["printf", "%s", "b-2"]


# ---- a shell


def test_a_shell_is_given_the_line_with_its_groups_replaced_and_the_rest_byte_for_byte():
    line = "  FOO={1,2}  sh -c 'echo $FOO {a,b}' | cat  && echo {x,y\\ z,'p  q'}"
    task = Task.from_command(line, shell=True)
    assert task.size == 6
    assert task[0].argv == ["/bin/sh", "-c", "  FOO=1  sh -c 'echo $FOO {a,b}' | cat  && echo x"]
    assert [written(point.argv) for point in task] == [
        f"{foo} {{a,b}}\n{end}\n" for foo in (1, 2) for end in ("x", "y z", "p  q")
    ]
    assert task[5].params == {"FOO": 2, "arg1": "'p  q'"}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("x --lr {1,2} --n={3,4} {a,b} -O{1,2} {--amp,}", ["--lr", "--n", "arg1", "-O", "arg2"]),
        ("x -k; {a,b}", ["arg1"]),
        ("x|{a,b}", ["arg1"]),
        ("x -k {a,}", ["arg1"]),
        ("{ a,b; }", []),
        ("{a;b,c}", []),
        ("{a,b}", ["arg1"]),
        ('x ${v:-{a,b}} "{a,b}" \\{a,b}', []),
    ],
)
def test_the_loops_of_a_shells_line_are_called(line, names):
    assert list(params(line, shell=True)) == names


def test_letters_that_are_quotes_are_text_for_a_shell_too():
    task = Task.from_command("echo {Z..a}", shell=True)
    assert [written(point.argv).strip() for point in task] == ["Z", "[", "\\", "]", "^", "_", "`", "a"]


# ---- labels


def test_a_label_tells_what_each_loop_adds():
    task = (
        Task.from_command("x --lr {0.1,0.2} --k={a,'b c'} {--amp,} o-{1,2}-{3,4} y {p,q}").env("OMP", [1, 2]).repeat(2)
    )
    assert task[0].label == "--lr 0.1 --k=a --amp o-1-3 p OMP=1 #0"
    assert task[-1].label == "--lr 0.2 '--k=b c' o-2-4 q OMP=2 #1"


def test_the_number_of_a_repeat_is_told_once():
    assert labels(Task("x").repeat(2, "--seed")) == ["--seed 0", "--seed 1"]


def test_what_is_not_looped_over_is_in_no_label():
    task = Task("x").fixed("--a", 1).arg("--n", [1, 2]).fixed("--b", lambda p: p["--n"]).env("E", "1")
    assert labels(task) == ["--n 1", "--n 2"]


def test_a_point_that_nothing_is_added_to_is_told_as_its_command():
    assert labels(Task("x").fixed("--a", "b c")) == ["x --a 'b c'"]
    assert labels(Task.from_command("x {--amp,}")) == ["--amp", "x"]


def test_a_label_of_a_shells_line_names_the_options():
    task = Task.from_command("x --lr {1,2} | y {'a b',} -O{1,2}", shell=True)
    assert labels(task)[:3] == ["--lr=1 'a b' -O=1", "--lr=1 'a b' -O=2", "--lr=1 -O=1"]


def test_a_label_hides_secrets():
    task = Task("x", env={"MY_TOKEN": "hunter22"}).arg("--t", ["hunter22", "b"]).env("API_KEY", ["sesame99", "c"])
    task.arg(None, ["is sesame99"])
    assert labels(task)[0] == "--t '***' API_KEY=*** 'is ***'"
    assert labels(task)[3] == "--t b API_KEY=*** 'is sesame99'"


@pytest.mark.fault("S17")
@pytest.mark.parametrize("shell", [False, True])
def test_a_label_is_one_printable_line(shell):
    for label in labels(Task.from_command("x {'a\nb',\x1b[2J} --k '\x07' p{q,$'\x9b'}", shell=shell)):
        assert label.isprintable()


# ---- mistakes


@pytest.mark.fault("U02")
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "empty; give the command"),
        (" \n", "empty; give the command"),
        ("\\\n", "empty"),
        ("'' a", "empty"),
        ("{a,}", "would be at one of its points"),
        ("{a,} {b,}{c,}", "would be at one of its points"),
        ("x 'a {b,c}", r"the ' at \"'a \{b,c\}\" is not closed; close it, or write a backslash"),
        ('x "a', r"the \" at '\"a' is not closed"),
        ('x "a\\"', "is not closed"),
        ("x a\\", r"backslash at the end quotes nothing; .*write \\\\"),
        ("x a\0b", "NUL"),
        ("x \ud800", "surrogates"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_with_the_cure(line, told):
    with pytest.raises(TaskExpError, match=told) as caught:
        Task.from_command(line)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("word", ["|", "||", "&&", "&", ";", ">", ">>", "<", "2>", "2>&1", "&>", "<<<", "|&", "(", ")"])
def test_a_word_that_only_a_shell_could_obey_is_refused(word):
    with pytest.raises(TaskExpError, match="no shell runs the command; give shell=True / --shell, or quote it"):
        Task.from_command(f"x {word} y")
    assert commands(f"x '{word}' \\{word} a{word}") == [["x", word, word, f"a{word}"]]
    assert commands(f"x {word} y", shell=True) == [["/bin/sh", "-c", f"x {word} y"]]


@pytest.mark.parametrize("line", [["x"], None, b"x", 5])
def test_a_line_that_is_no_text_is_a_type_error(line):
    with pytest.raises(TaskExpError, match=r"is a str.*Task\(\.\.\.\)") as caught:
        Task.from_command(line)
    assert isinstance(caught.value, TypeError)


def test_the_other_arguments_are_checked_as_those_of_a_task():
    with pytest.raises(TaskExpError, match="env is a dict"):
        Task.from_command("x", env=[1])
    task = Task.from_command("x", env={"A": lambda p: p.index}, cwd="/", stdin="text", live=True)
    assert (task[0].argv, task[0].env) == (["x"], {"PYTHONUNBUFFERED": "1", "A": "0"})
    assert (task[0].command.cwd, task[0].command.stdin) == ("/", "text")
