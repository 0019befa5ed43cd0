"""On the Pareto front are the rows that no other one beats in both speed and memory."""

from test_recommend import case, memory, row

from keras_loader_bench.bench.report.figures.pareto import pareto_front


def front(*rows):
    return [found.loader for found in pareto_front(rows)]


def test_who_is_beaten_in_both_is_not_on_it():
    rows = [row("fast", 0.9, 100), row("small", 0.5, 5), row("beaten", 0.4, 50)]
    assert front(*rows) == ["small", "fast"]


def test_of_equals_in_one_the_better_in_the_other_stays():
    assert front(row("a", 0.5, 5), row("b", 0.9, 5)) == ["b"]
    assert front(row("a", 0.9, 5), row("b", 0.9, 50)) == ["a"]


def test_who_may_not_be_ranked_takes_no_part():
    wrong = row("wrong", 0.99, 1, identical=False)
    dead = row("dead", 0.99, memory=memory(1, outcome="refused"))
    failed = row("failed", feed=case(0.99, outcome="failed"))
    assert front(wrong, dead, failed, row("good", 0.1, 500)) == ["good"]
    assert front(row("unmeasured", memory=None), row("unfed", feed=None)) == []
