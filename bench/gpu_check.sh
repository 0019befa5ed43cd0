#!/usr/bin/env bash
# Everything about one GPU machine in one folder, in nine minutes at most:
#
#     bench/gpu_check.sh results/gpu [options of pytest or of the suite]
#
# FOLDER/environment.txt, then a quick audit of every loader (quick/), training and feeding with three
# batch sizes (float32/), the same with bytes over the bus (uint8/), and memory (memory/), over JAX,
# TensorFlow and torch, as far as they are installed. The most important part comes first: what the
# time does not suffice for is cut short, and its report says so. It takes about 10 MiB.
set -uo pipefail

usage="usage: bench/gpu_check.sh FOLDER [OPTIONS]: FOLDER must not exist; options go to pytest."
if [ $# -lt 1 ] || [ "${1#-}" != "$1" ]; then
    echo "$usage" >&2
    exit 2
fi
if [ -e "$1" ]; then
    echo "\`$1\` exists already. $usage" >&2
    exit 2
fi
mkdir -p "$1" || exit 2
folder=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
seconds=${GPU_CHECK_SECONDS:-530}

backends=$("$python" - <<'END'
from bench.cases import BACKENDS
from loaders.registry import missing_package

print(",".join(name for name in BACKENDS if not missing_package((name,))))
END
) || exit 1
if [ -z "$backends" ]; then
    echo "no backend is installed; \`pip install -e '.[all]'\` adds them" >&2
    exit 1
fi

"$python" - >"$folder/environment.txt" <<'END'
import json
from bench.environment import describe

print(json.dumps(describe(), indent=1))
END
nvidia-smi >>"$folder/environment.txt" 2>&1 ||
    echo "nvidia-smi: not available" >>"$folder/environment.txt"
cat "$folder/environment.txt"

failed=0
# part NAME PERCENT ARGUMENTS...: one run, for at most so much of the time that is left.
part() {
    local name=$1 share=$(((seconds - SECONDS) * $2 / 100))
    shift 2
    if [ "$share" -lt 10 ]; then
        echo "== $name: no time is left"
        failed=1
        return
    fi
    printf '\n== %s: at most %s s\n' "$name" "$share"
    # As Ctrl-C does: what was measured is kept, and a report is written.
    timeout --signal=INT --kill-after=20 "$share" "$python" -m pytest --benchmark-only \
        -p no:cacheprovider --device gpu --keras-backends "$backends" --source synthetic \
        --results-dir "$folder/$name" "$@"
    local status=$?
    [ "$status" -eq 0 ] || failed=1
    echo "== $name: exit status $status"
}

part quick 20 bench/bench_feed.py --quick --samples 2000 "$@"
part float32 70 bench/bench_train.py bench/bench_feed.py --rounds 6 \
    --batch-sizes 256,1024,64 --loaders sequence,torch,numpy "$@"
part uint8 60 bench/bench_train.py bench/bench_feed.py --rounds 6 \
    --batch-sizes 256 --pixels uint8 --loaders sequence,torch "$@"
part memory 95 bench/bench_memory.py --samples 50000 --loaders sequence,numpy "$@"

printf '\n%s:\n' "$folder"
du -sk "$folder"
exit "$failed"
