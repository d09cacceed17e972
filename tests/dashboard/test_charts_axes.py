import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.charts.axes import add_break_mark, plan_volume_axis, volume_axis_layout


def test_axis_is_logarithmic_beyond_the_smallest_volume() -> None:
    axis = plan_volume_axis([0, 4, 16, 64, 256, 256])
    assert axis.volumes == (0, 4, 16, 64, 256)
    positions = axis.position([4, 16, 64, 256])
    assert np.diff(positions) == pytest.approx([2, 2, 2])


def test_axis_is_linear_below_it_and_zero_is_one_step_left() -> None:
    axis = plan_volume_axis([0, 4, 16, 64])
    zero, one, two, four = axis.position([0, 1, 2, 4])
    assert four - zero == pytest.approx(2)
    assert two - one == pytest.approx(one - zero)


def test_position_never_jumps() -> None:
    axis = plan_volume_axis([0, 10, 40])
    n = np.linspace(0, 40, 4001)
    steps = np.diff(axis.position(n))
    assert (steps > 0).all()
    assert steps.max() < 0.01


@pytest.mark.parametrize("volumes", [[], [0], [8], [0, 8]])
def test_few_volumes_make_a_usable_axis(volumes: list[float]) -> None:
    axis = plan_volume_axis(volumes)
    low, high = axis.limits
    assert np.isfinite([low, high]).all()
    assert low < high


def test_ticks_are_named_by_volume() -> None:
    layout = volume_axis_layout(plan_volume_axis([0, 40, 160, 640, 2560]), show_labels=True)
    assert layout["ticktext"] == ["0", "40", "160", "640", "2,560"]


def test_crowded_ticks_are_thinned_from_the_largest_down() -> None:
    volumes = [0, *range(1000, 1100, 10)]
    layout = volume_axis_layout(plan_volume_axis(volumes), show_labels=True)
    names = layout["ticktext"]
    assert isinstance(names, list)
    assert names[-1] == "1,090"
    assert len(names) < len(volumes)


@pytest.mark.parametrize(("volumes", "n_strokes"), [([0, 4, 16], 2), ([4, 16], 0), ([0], 0)])
def test_break_is_marked_only_where_there_is_one(volumes: list[float], n_strokes: int) -> None:
    figure = go.Figure()
    add_break_mark(figure, plan_volume_axis(volumes), "x", "y")
    assert len(figure.layout.shapes) == n_strokes


def test_volumes_of_their_own_get_round_ticks_and_a_visible_zero() -> None:
    tokens = [0, *np.linspace(1_234, 2_345_678, 40)]
    axis = plan_volume_axis(tokens)
    assert axis.volumes == (0.0, 10_000.0, 100_000.0, 1_000_000.0)
    low, high = axis.limits
    assert low < axis.position(0.0) < axis.position(1_234.0)
    assert axis.position(2_345_678.0) < high
    layout = volume_axis_layout(axis, show_labels=True)
    assert layout["ticktext"] == ["0", "10k", "100k", "1M"]
    wide = volume_axis_layout(plan_volume_axis([0.01, 0.02, 0.04]), show_labels=True, wide=True)
    assert wide["ticktext"] == ["0.01", "0.02", "0.04"]
