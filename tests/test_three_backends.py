"""One run over all installed backends: the same batches everywhere, but for what Keras loses."""

import pytest
import suite

from keras_loader_bench.bench.child.audit import WHOLE_EPOCH
from keras_loader_bench.loaders.registry import BACKENDS, missing_package

pytestmark = pytest.mark.long

INSTALLED = [name for name in BACKENDS if not missing_package((name,))]


finished = suite.Job(
    __name__,
    *("--keras-backends", ",".join(BACKENDS), "--num-workers", "2", "--rounds", "2"),
    *("--samples", "5000", "--loaders", "sequence,stock_sequence", "-k", "feed"),
).fixture()


def cases(finished, loader):
    """The cases of a loader on installed backends, by backend."""
    return {
        case.case.backend: case
        for case in finished.run.cases
        if case.case.loader == loader and case.outcome != "skipped"
    }


def test_known_failures_do_not_fail_a_run(finished):
    assert finished.exit_status == 0, finished.output
    assert finished.run.status == "complete"


def test_every_installed_backend_runs_and_says_what_it_is(finished):
    assert set(cases(finished, "sequence")) == set(INSTALLED)
    for description in finished.run.environment.backends.values():
        assert description.version
        assert description.device
    assert set(finished.run.environment.backends) == set(INSTALLED)


def test_batches_do_not_depend_on_the_backend(finished):
    audits = [case.audit for case in cases(finished, "sequence").values()]
    assert all(audit.identical for audit in audits)
    assert len({audit.digest for audit in audits}) == 1


def test_every_case_is_audited_in_five_passes(finished):
    names = ["fit, epoch 1", "fit, epoch 2", "evaluate", "predict", WHOLE_EPOCH]
    for case in cases(finished, "sequence").values():
        assert [result.name for result in case.audit.passes] == names


@pytest.mark.parametrize("backend", BACKENDS)
def test_keras_own_workers_lose_batches_on_jax_and_torch_only(finished, backend):
    if reason := missing_package((backend,)):
        pytest.skip(reason)
    case = cases(finished, "stock_sequence")[backend]
    if backend == "tensorflow":
        assert case.audit.identical
        assert case.known_failure is None
    else:
        assert case.outcome == "audit_failed"
        assert case.audit.verdict == "missing_or_repeated"
        assert case.known_failure.link.startswith("https://github.com/keras-team/keras/")


def test_a_failed_audit_is_shown_and_not_ranked(finished):
    report = (finished.folder / "report.md").read_text()
    if set(INSTALLED) - {"tensorflow"}:
        assert "missing** (known)" in report
        assert "Wrong batches, therefore not ranked" in report
