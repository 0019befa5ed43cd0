#!/usr/bin/env bash
# Everything about one GPU machine, in nine minutes at most:
#
#     bench/gpu_check.sh FOLDER [--wheels WHEELS] [--only REGEX] [--rehearse]
#
# leaves two files. FOLDER/gpu_check.tar.gz has a folder with run.json for each part; it is renewed
# after every part, so that a machine that goes away costs one part. FOLDER/gpu_check.log is what was
# printed. Reports are made elsewhere: unpack the archive, then `keras-loader-bench report PART`.
#
# The suite need not be installed. For a machine without network or Keras, but with a backend, pandas,
# scipy, matplotlib, psutil, pytest and nvidia-ml-py,
#
#     bench/gpu_check.sh --pack WHEELS
#
# fetches the rest for Python ${PYTHON_VERSION:-3.12} on x86-64 Linux into WHEELS, to be carried over.
# --only runs the parts whose names match, for a part that failed or found no time: --only '^feed'.
# --rehearse runs every part on the CPU, with one small case each: it shows that all of this works.
set -uo pipefail

usage="usage: bench/gpu_check.sh FOLDER [--wheels WHEELS] [--only REGEX] [--rehearse], or --pack WHEELS"
refuse() {
    echo "$1 $usage" >&2
    exit 2
}

python=${PYTHON:-python3}
folder='' wheels='' pack='' only='' rehearse=''
while [ $# -gt 0 ]; do
    case $1 in
    --rehearse) rehearse=1 ;;
    --wheels | --pack)
        [ $# -gt 1 ] || refuse "\`$1\` needs a folder."
        [ "$1" = --pack ] && pack=$2 || wheels=$2
        shift
        ;;
    --only)
        [ $# -gt 1 ] || refuse "\`$1\` needs a regular expression."
        only=$2
        shift
        ;;
    -*) refuse "There is no option \`$1\`." ;;
    *)
        [ -z "$folder" ] || refuse "\`$folder\` and \`$1\` are two folders."
        folder=$1
        ;;
    esac
    shift
done

if [ -n "$pack" ]; then
    platforms=()
    for version in 2_28 2_27 2_24 2_17 2014 1; do
        platforms+=(--platform "manylinux${version/#2_/_2_}_x86_64")
    done
    fetch=("$python" -m pip download -q --only-binary=:all: "${platforms[@]}"
        --implementation cp --python-version "${PYTHON_VERSION:-3.12}" -d "$pack")
    # Without what they need, which is there or would bring another NumPy; pydantic names the one
    # release of its core that it works with.
    "${fetch[@]}" --no-deps keras namex optree grain array-record portpicker pytest-benchmark \
        py-cpuinfo2 simplejpeg && exec "${fetch[@]}" pydantic
fi

[ -n "$folder" ] || refuse ""
[ ! -e "$folder/gpu_check.tar.gz" ] || refuse "\`$folder/gpu_check.tar.gz\` exists already."
[ -z "$wheels" ] || ls "$wheels"/*.whl >/dev/null 2>&1 || refuse "\`$wheels\` has no wheels."
mkdir -p "$folder" || exit 2
folder=$(cd "$folder" && pwd)
[ -z "$wheels" ] || wheels=$(cd "$wheels" && pwd)
cd "$(dirname "$0")/.." || exit 2

work=$(mktemp -d)
results=$work/results
mkdir "$results"
exec > >(tee -i "$folder/gpu_check.log") 2>&1
log=$!
trap 'exec >&- 2>&-; wait "$log"; rm -rf "$work"' EXIT

end=${GPU_CHECK_SECONDS:-540}
device=gpu batch=1024 small=64 samples=51200 rounds=(--processes 3 --rounds 3 --round-seconds 1)
peers=sequence,torch contrast=stock_sequence,numpy pixels=float32 workers=0,4
controls='too_early or compiled_step'
audited=eager_sequence,grain,numpy,stock_sequence,tuned_tf_data audited_workers=0,2
photographs=4000 decoders=$(nproc) images=image_sequence,torch_simplejpeg
if [ -n "$rehearse" ]; then
    device=cpu batch=32 small=16 samples=128 rounds=(--processes 1 --rounds 1 --round-seconds 0.05)
    peers=sequence contrast='' pixels=uint8 workers=0
    controls=too_early audited=stock_sequence audited_workers=0
    photographs=64 decoders=2 images=image_sequence
fi

unset PYTHONDONTWRITEBYTECODE
export PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}
export KERAS_HOME=$work/keras MPLCONFIGDIR=$work/matplotlib
# Plugins of the machine's own would bring their options and warnings.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
# Every process takes its kernels from here, so that all loaders run the same ones, and the peak of the
# allocator holds no tuning.
export JAX_COMPILATION_CACHE_DIR=$work/jax JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1
export XLA_PYTHON_CLIENT_PREALLOCATE=false

if [ -n "$wheels" ]; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$work/site" \
        "$wheels"/*.whl || exit 1
    export PYTHONPATH=$work/site${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH=$PWD/.package${PYTHONPATH:+:$PYTHONPATH}
"$python" -m compileall -q -j 0 bench loaders ${wheels:+"$work/site"} >/dev/null 2>&1

keep() {
    tar -C "$results" -czf "$folder/.gpu_check.tar.gz" . &&
        mv "$folder/.gpu_check.tar.gz" "$folder/gpu_check.tar.gz"
}

child='' maker='' stopped=''
stop() { # Ctrl-C, or a machine that is taken away
    stopped=1
    [ -z "$child" ] || kill -INT "$child" 2>/dev/null
    [ -z "$maker" ] || kill "$maker" 2>/dev/null
}
trap stop INT TERM

failed=0
# part NAME SECONDS COMMAND...: at most so long, never beyond the end; what it leaves goes to the next.
part() {
    local name=$1 most=$2 status
    local left=$((end - SECONDS))
    shift 2
    [ -z "$stopped" ] && [[ $name =~ $only ]] || return
    if [ "$left" -lt 15 ]; then
        echo "== $name: no time is left"
        failed=1
        return
    fi
    [ "$most" -le "$left" ] || most=$left
    echo "== $name: at most $most s"
    # What a shell starts in the background ignores SIGINT, and Python then would too.
    timeout --signal=INT --kill-after=15 "$most" env --default-signal=INT "$@" \
        >"$results/$name.log" 2>&1 &
    child=$!
    wait "$child"
    status=$?
    [ -z "$stopped" ] || wait "$child" # a trap ends the first one
    child=''
    tail -n "${TAIL:-12}" "$results/$name.log"
    echo "== $name: exit status $status, $SECONDS s so far"
    [ "$status" -eq 0 ] || failed=1
    keep
}

# suite NAME SECONDS ARGUMENTS...: a part that is a run of the suite.
suite() {
    local name=$1 most=$2
    shift 2
    # Plugins load before this project's own settings, under which warnings are errors.
    part "$name" "$most" "$python" -W default -m pytest -p pytest_benchmark.plugin \
        -p no:cacheprovider -W default --benchmark-only --no-report --device "$device" \
        --source synthetic --case-timeout 90 --results-dir "$results/$name" "$@"
}

{
    nvidia-smi --format=csv --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm,temperature.gpu,pstate ||
        echo "nvidia-smi: not available"
    df -h /dev/shm "$work"
    "$python" -c 'import json; from dataclasses import asdict; from keras_loader_bench.bench.sensors.environment import describe; print(json.dumps(asdict(describe()), indent=1))'
} 2>&1 | tee "$results/environment.txt"
keep

backends=()
for backend in ${GPU_CHECK_BACKENDS:-jax torch tensorflow}; do
    if "$python" -c "import importlib.util as i, sys; sys.exit(not i.find_spec('$backend'))"; then
        found=$(KERAS_BACKEND=$backend "$python" -c \
            'from keras_loader_bench.bench.child.device import describe_backend as d; print("device:", d()["device"])' 2>&1)
        case $(tail -n 1 <<<"$found") in
        "device: cpu") [ -z "$rehearse" ] || backends+=("$backend") ;;
        "device: "*) backends+=("$backend") ;;
        esac
        echo "$backend: $(tail -n 3 <<<"$found")"
    else
        echo "$backend: not installed"
    fi
done
if [ ${#backends[@]} -eq 0 ]; then
    echo "no backend sees an accelerator: install a GPU build and check CUDA_VISIBLE_DEVICES" >&2
    exit 1
fi
first=${backends[0]}

# In the order of their value.
TAIL=20 part copies 30 "$python" -m keras_loader_bench.bench.child.device_copies
if [[ images-$first =~ $only ]]; then # made beside parts that time nothing
    "$python" -c "from keras_loader_bench.loaders.encoded.known_images import prepare_images
prepare_images('photographs', num_samples=$photographs)" &
    maker=$!
fi
for backend in "${backends[@]}"; do
    # Also the control: a pool of buffers that is broken on purpose must be caught on this card.
    part "control-$backend" 60 env KERAS_BACKEND="$backend" "$python" -W default -m pytest \
        -p no:cacheprovider -W default -q --disable-warnings tests/test_fingerprint.py \
        -m each_backend -k "$controls"
done
[ -z "$maker" ] || wait "$maker"
maker=''
if [ "$first" = jax ] && [ -z "$rehearse" ]; then
    suite warm-jax 60 bench/bench_train.py --keras-backends jax --quick --rounds 1 \
        --batch-sizes "$batch" --samples "$samples" --loaders sequence --pixels "$pixels"
fi
for backend in "${backends[@]}"; do
    suite "train-$backend" 240 bench/bench_train.py --keras-backends "$backend" "${rounds[@]}" \
        --batch-sizes "$batch" --samples "$samples" --pixels "$pixels" --num-workers "$workers" \
        --loaders "$peers" -k "sequence-w0 or torch-w4 or ceiling"
done
# Verdicts alone: figures of --quick mean little.
for backend in "${backends[@]}"; do
    suite "audit-$backend" 80 bench/bench_feed.py --keras-backends "$backend" --quick \
        --batch-sizes "$small" --samples $((small * 40 + small / 2)) \
        --loaders "$audited" --num-workers "$audited_workers"
done
for backend in "${backends[@]}"; do
    suite "feed-$backend" 150 bench/bench_feed.py --keras-backends "$backend" "${rounds[@]}" \
        --batch-sizes "$batch" --samples "$samples" --num-workers "$workers" \
        --loaders "$peers" -k "sequence or torch-w4 or ceiling"
done
for backend in "${backends[@]}"; do
    suite "images-$backend" 300 bench/bench_images.py --keras-backends "$backend" "${rounds[@]}" \
        --source photographs --samples "$photographs" --batch-sizes "$small" \
        --pixels float32,uint8 --num-workers "0,$decoders" --loaders "$images" \
        -k "feed and (image_sequence-w0 or torch_simplejpeg-w$decoders or ceiling)"
done
suite "bfloat16-$first" 60 bench/bench_train.py --keras-backends "$first" "${rounds[@]}" \
    --batch-sizes "$batch" --samples "$samples" --pixels uint8 --loaders sequence \
    --precision mixed_bfloat16
for backend in "${backends[@]}"; do
    suite "small-$backend" 180 bench/bench_train.py bench/bench_feed.py "${rounds[@]}" \
        --keras-backends "$backend" --batch-sizes "$small" --samples $((samples / 2)) \
        --num-workers "$workers" --loaders "$peers${contrast:+,$contrast}" \
        -k "sequence-w0 or torch-w4 or ceiling or (feed and (numpy or torch-w0))"
done

[ -z "$stopped" ] || failed=130
echo "== all: $SECONDS s; $(du -k "$folder/gpu_check.tar.gz" | cut -f1) KiB"
exit "$failed"
