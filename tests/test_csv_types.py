# SPDX-License-Identifier: MIT
"""CSV of every type PostgreSQL has."""

import pytest

import pg_types
from csv_values import copy_of
from pg_types import MADE, OWN_TYPES, SAMPLES, array_types, built_in_types, every_type


@pytest.fixture
def types_db(pg, database):
    yield from pg_types.types_database(pg, database)


# The rule: byte-identical to COPY (query) TO STDOUT (FORMAT csv, HEADER), for
# every type PostgreSQL has.
def test_every_built_in_type_is_printed_as_copy_does(mount, pg, types_db):
    m = mount(db=pg.spec(database=types_db))
    query = every_type(array_types(pg))

    assert built_in_types(pg) == SAMPLES.keys() | MADE.keys()
    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, types_db, query)


@pytest.mark.parametrize("kind", OWN_TYPES)
def test_types_of_a_users_own_are_printed_as_copy_does(mount, pg, types_db, kind):
    m = mount(db=pg.spec(database=types_db))
    query = OWN_TYPES[kind]

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, types_db, query)


SETTINGS = {
    "SQL dates": "set datestyle = 'SQL, DMY'; set intervalstyle = 'sql_standard';",
    "Postgres dates": """set datestyle = 'Postgres';
        set intervalstyle = 'postgres_verbose';""",
    "German dates": "set datestyle = 'German'; set intervalstyle = 'iso_8601';",
    "a zone name with a comma": """set datestyle = 'Postgres';
        set timezone = '<a,b>5';""",
    "a zone name with a quote": """set datestyle = 'SQL'; set timezone = '<a"b>5';""",
    "escaped bytes": "set bytea_output = 'escape';",
    "few digits": "set extra_float_digits = -15;",
    "all digits": "set extra_float_digits = 3;",
    "quoted identifiers": "set quote_all_identifiers = on;",
    "base64 in xml": "set xmlbinary = 'hex'; set xmloption = 'document';",
    "backslashes": "set standard_conforming_strings = off;",
}


# A SET of the session counts, for the columns as for COPY: types whose text
# never needs quoting by default (timestamptz) may need it then.
@pytest.mark.parametrize("name", SETTINGS)
def test_output_settings_of_the_session_count(mount, pg, types_db, name):
    m = mount(db=pg.spec(database=types_db))
    query = every_type(array_types(pg)).replace("<a/>\\n<b/>", "<a/>")
    if "xml" in name:
        query = "select xmlelement(name a, '\\x00ff'::bytea), '<a/>'::xml as x"
    settings = SETTINGS[name]

    got = m.query(f"{settings}\n{query};").check().stdout

    assert got == copy_of(pg, types_db, query, settings)
