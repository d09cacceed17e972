"""One growth law for several model sizes at once; see `dashboard.analysis.joint.fit`."""
