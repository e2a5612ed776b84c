from testbed.cli.console import make_console


def test_output_to_a_file_is_wide_unless_columns_is_set(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert (make_console().width, make_console(plain_width=160).width) == (120, 160)
    monkeypatch.setenv("COLUMNS", "80")
    assert make_console().width == 80
