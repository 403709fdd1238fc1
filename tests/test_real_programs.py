"""Sweeps over programs that people really sweep."""

import gzip
import re
import shutil
from pathlib import Path

import pytest

from taskexp import Status, Task

C_PROGRAM = r"""
#include <stdio.h>
#include <time.h>
int main(void) {
    clock_t began = clock();
    volatile double sum = 0;
    for (int i = 1; i < 2000000; i++) sum += 1.0 / i;
    printf("optimized %d, %.6f seconds\n", OPTIMIZED, (double)(clock() - began) / CLOCKS_PER_SEC);
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler on this machine")
def test_gcc_compiles_a_program_in_every_way_and_each_result_runs(tmp_path: Path) -> None:
    (tmp_path / "sum.c").write_text(
        "#ifdef __OPTIMIZE__\n#define OPTIMIZED 1\n#else\n#define OPTIMIZED 0\n#endif\n" + C_PROGRAM
    )
    compiling = Task("gcc", cwd=tmp_path).fixed(None, "sum.c").arg(None, ["-O0", "-O1", "-O2", "-O3"]).switch("-g")
    compiling.fixed("-o", lambda p: f"sum{p['arg2']}{'-g' if p['-g'] else ''}")
    compiled = compiling.run(max_workers=2, ostreams=[], use_tqdm=False)
    assert [result.status for result in compiled] == [Status.succeeded] * 8
    assert [result.argv for result in compiled][:2] == [
        ["gcc", "sum.c", "-O0", "-g", "-o", "sum-O0-g"],
        ["gcc", "sum.c", "-O0", "-o", "sum-O0"],
    ]

    lines: list[str] = []
    running = Task(["env"], cwd=tmp_path).arg(None, [f"./{result.params['-o']}" for result in compiled])
    for exe in running.executable_loop(use_tqdm=False):
        result = exe.execute(ostreams=[], on_verbose=lambda line, *_: lines.append(line))
        assert result is not None
        assert result.status is Status.succeeded
    assert [bool(int(re.fullmatch(r"optimized (\d), \d+\.\d{6} seconds\n", line)[1])) for line in lines] == [
        "-O0" not in result.argv for result in compiled
    ]


@pytest.mark.skipif(shutil.which("gzip") is None, reason="no gzip on this machine")
def test_gzip_writes_its_binary_output_unchanged_to_a_binary_stream(tmp_path: Path) -> None:
    text = "".join(f"{number} bottles of beer on the wall\n" for number in range(20_000))
    (tmp_path / "text").write_text(text)
    sizes = []
    for exe in Task("gzip -c text", cwd=tmp_path).arg(None, ["-1", "-9"]).executable_loop(use_tqdm=False):
        with (tmp_path / f"{exe.index}.gz").open("wb") as packed:
            exe.execute(ostreams=[packed])
        assert gzip.decompress((tmp_path / f"{exe.index}.gz").read_bytes()).decode() == text
        sizes.append((tmp_path / f"{exe.index}.gz").stat().st_size)
    assert sizes[0] > sizes[1]
