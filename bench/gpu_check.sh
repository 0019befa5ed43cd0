#!/usr/bin/env bash
# Everything about one GPU machine in one folder, in nine minutes at most:
#
#     bench/gpu_check.sh results/gpu [options of pytest or of the suite]
#
# FOLDER/environment.txt and, for each backend that sees an accelerator, an audit of every loader
# (BACKEND-audit/), training with three batch sizes as float32 and as bytes (BACKEND-train/), feeding
# (BACKEND-feed/) and memory (BACKEND-memory/). Each backend has the same share of the time. What it
# does not suffice for is cut short as by Ctrl-C: it keeps what it measured, and its report says so.
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
seconds=${GPU_CHECK_SECONDS:-500}
device=gpu
for option in "$@"; do
    [ "$option" != cpu ] || device=cpu # of `--device cpu`: a rehearsal
done

"$python" - >"$folder/environment.txt" <<'END' || exit 1
import json

from bench.environment import describe

print(json.dumps(describe(), indent=1))
END
query=name,driver_version,memory.total,power.limit,clocks.max.sm,temperature.gpu,pstate
nvidia-smi --query-gpu="$query" --format=csv >>"$folder/environment.txt" 2>&1 ||
    echo "nvidia-smi: not available" >>"$folder/environment.txt"
cat "$folder/environment.txt"

backends=()
for backend in ${GPU_CHECK_BACKENDS:-jax tensorflow torch}; do
    found=$(KERAS_BACKEND=$backend "$python" -c \
        'from bench.device import describe_backend as d; print(d()["device"])' 2>/dev/null) || found=
    echo "$backend: ${found:-not installed}"
    if [ -n "$found" ] && { [ "$device" = cpu ] || [ "$found" != cpu ]; }; then
        backends+=("$backend")
    fi
done
if [ ${#backends[@]} -eq 0 ]; then
    echo "no backend sees an accelerator: install a GPU build and check CUDA_VISIBLE_DEVICES" >&2
    exit 1
fi

failed=0
# part NAME UNTIL BACKEND ARGUMENTS...: one run that ends when UNTIL seconds are over, at the latest.
part() {
    local name=$1 share=$(($2 - SECONDS)) backend=$3
    shift 3
    if [ "$share" -lt 10 ]; then
        echo "== $name: no time is left"
        failed=1
        return
    fi
    printf '\n== %s: at most %s s\n' "$name" "$share"
    timeout --signal=INT --kill-after=10 "$share" "$python" -m pytest --benchmark-only \
        -p no:cacheprovider --device gpu --keras-backends "$backend" --source synthetic \
        --results-dir "$folder/$name" "$@"
    local status=$?
    [ "$status" -eq 0 ] || failed=1
    echo "== $name: exit status $status"
}

start=$SECONDS
share=$(((seconds - start) / ${#backends[@]}))
for backend in "${backends[@]}"; do
    part "$backend-audit" $((start + share * 20 / 100)) "$backend" \
        bench/bench_feed.py --quick --samples 2000 "$@"
    part "$backend-train" $((start + share * 70 / 100)) "$backend" \
        bench/bench_train.py --rounds 6 --samples 20000 --loaders sequence,torch \
        --batch-sizes 256,1024,64 --pixels float32,uint8 "$@"
    part "$backend-feed" $((start + share * 90 / 100)) "$backend" \
        bench/bench_feed.py --rounds 6 --samples 20000 --loaders sequence,torch \
        --batch-sizes 256 --pixels float32,uint8 "$@"
    part "$backend-memory" $((start + share)) "$backend" \
        bench/bench_memory.py --samples 20000 --loaders sequence "$@"
    start=$((start + share))
done

printf '\n%s:\n' "$folder"
du -sk "$folder"
exit "$failed"
