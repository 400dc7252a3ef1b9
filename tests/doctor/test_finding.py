from jaxdet.doctor.finding import Finding, by_severity


def test_findings_are_sorted_by_severity_and_else_stay_in_order():
    findings = [Finding(severity, "", text) for severity, text in (("note", "a"), ("error", "b"), ("note", "c"))]
    assert [finding.text for finding in by_severity(findings)] == ["b", "a", "c"]
