# SPDX-License-Identifier: MIT
"""AWS keys of profiles: ~/.aws/config and ~/.aws/credentials as tools and people
write them, roles that lead from one to the other, and what is wrong with them."""

import dataclasses
import os
import re

import pytest

from aws_sources import static
from fake_aws import InstanceRole, Role

ROLE = "arn:aws:iam::123456789012:role/{}"


def fields_of(*profiles):
    """A connection for each profile, of the same name."""
    return {name: {"profile": name} for name in profiles}


def fields_of_one(*names):
    """Connections of these names for one profile: each logs in for itself."""
    return {name: {"profile": "mine"} for name in names}


# --- Lines


# {0}: the key of that profile; {1}: one of which nothing should be seen.
FORMS = {
    "plain": "[profile plain]\n{0}",
    "tight": "[profile tight]\naws_access_key_id={a}\naws_secret_access_key={s}\n"
    "aws_session_token={t}",
    "wide": "[ profile\twide ]\n\naws_access_key_id\t =  {a}  \n\n"
    "aws_secret_access_key = {s}\t\naws_session_token={t}\n",
    "in quotes": '[profile "in quotes"]\n{0}',
    "apostrophes": "[profile 'apostrophes']\n{0}",
    "capitals": "[profile capitals]\nAWS_Access_Key_Id = {a}\n"
    "AWS_SECRET_ACCESS_KEY = {s}\nAWS_SESSION_TOKEN = {t}\n",
    "comments": "# [profile other]\n[profile comments] ; so it is called\n"
    "#aws_access_key_id = x\n; aws_access_key_id = y\n  # region = z\n"
    "aws_access_key_id = {a} # mine\naws_secret_access_key = {s} ; mine, too\n"
    "aws_session_token = {t}\t#",
    "crlf": "[profile crlf]\r\naws_access_key_id = {a}\r\n\r\n"
    "aws_secret_access_key = {s}\r\naws_session_token = {t}\r\n",
    "nested": "[profile nested]\ns3 =\n  aws_access_key_id = x\n"
    "  max_concurrent_requests = 20\n{0}",
    "twice": "[profile twice]\n{1}[profile between]\nregion = eu-west-1\n"
    "[profile twice]\n{0}",
    "unfamiliar": "[profile unfamiliar]\ncli_pager =\noutput = json\n{0}x-mine = 1\n",
    "no-prefix": "[no-prefix]\n{1}[profile no-prefix]\n{0}",
}


def form(text, key, other):
    words = {"a": key.access_key, "s": key.secret_key, "t": key.session_token}
    return text.format(static(key), static(other), **words)


# As tools and people write them; which key signed proves what was understood.
def test_a_profile_can_be_written_in_many_ways(rds, aws, home):
    keys = {name: aws.key(temporary=True) for name in FORMS}
    other = aws.key()
    texts = [form(text, keys[name], other) for name, text in FORMS.items()]
    home.write("\ufeff" + "\n".join(texts))
    conns = {re.sub(r"\W", "-", name): {"profile": name} for name in FORMS}
    m = rds.mount(aws.env(**home.env()), **conns)

    for conn, fields in conns.items():
        name = fields["profile"]
        assert rds.key(m, conn) == keys[name], name
        assert rds.source(m, conn) == f"profile {name}"


# [NAME] there, without a prefix; where both files have keys, those count, and
# what only the other has is taken from it.
def test_the_credentials_file_wins_over_the_config_file(rds, aws, home):
    own, temporary, lost = aws.key(), aws.key(temporary=True), aws.key()
    token = temporary.session_token
    home.write(
        f"[profile only]\nregion = eu-west-1\n[profile both]\n{static(lost)}"
        f"[profile parts]\naws_session_token = {token}\n",
        f"[only]\n{static(own)}[both]\n{static(own)}"
        f"[profile both]\n{static(lost)}"
        f"[parts]\naws_access_key_id = {temporary.access_key}\n"
        f"aws_secret_access_key = {temporary.secret_key}\n",
    )
    m = rds.mount(aws.env(**home.env()), **fields_of("only", "both", "parts"))

    assert rds.key(m, "only") == own
    assert rds.key(m, "both") == own
    assert rds.key(m, "parts") == temporary


# --- Which profile


@pytest.mark.parametrize("files", ["config", "credentials", "prefixed"])
def test_the_default_profile(rds, aws, home, files):
    key, other = aws.key(), aws.key()
    config = {
        "config": f"[default]\n{static(key)}[profile x]\n{static(other)}",
        "credentials": f"[profile x]\n{static(other)}",
        "prefixed": f"[default]\n{static(other)}[profile default]\n{static(key)}",
    }[files]
    credentials = f"[default]\n{static(key)}" if files == "credentials" else ""
    home.write(config, credentials)
    m = rds.mount(aws.env(**home.env()))

    assert rds.key(m) == key
    assert rds.source(m) == "profile default"


# AWS_PROFILE chooses among profiles; `profile` of the spec goes before all that
# the environment says.
def test_the_profile_of_the_spec_goes_first(rds, aws, home):
    keys = {name: aws.key() for name in ["default", "named", "mine"]}
    home.write(
        "".join(f"[profile {name}]\n{static(key)}" for name, key in keys.items())
    )
    env = aws.env(**home.env(), AWS_PROFILE="named")
    m = rds.mount(env, db={}, own={"profile": "mine"})

    assert (rds.key(m), rds.source(m)) == (keys["named"], "profile named")
    assert rds.key(m, "own") == keys["mine"]


def test_the_profile_of_the_spec_wins_over_keys_of_the_environment(rds, aws, home):
    key, other = aws.key(temporary=True), aws.key(temporary=True)
    home.write(f"[profile mine]\n{static(key)}")
    env = aws.env(other, **home.env(), AWS_PROFILE="mine")
    m = rds.mount(env, db={}, own={"profile": "mine"})

    assert (rds.key(m, "own"), rds.source(m, "own")) == (key, "profile mine")
    # Those of the environment win over AWS_PROFILE, as with AWS's own tools.
    assert (rds.key(m), rds.source(m)) == (other, "environment")


def test_the_files_can_be_elsewhere(rds, aws, home):
    key, other = aws.key(), aws.key()
    home.write(f"[profile mine]\n{static(key)}", f"[yours]\n{static(other)}")
    config, credentials = home.dir / "c o n f", home.dir / "elsewhere"
    home.config.rename(config)
    home.credentials.rename(credentials)
    env = aws.env(
        HOME=home.dir,
        AWS_CONFIG_FILE=config,
        AWS_SHARED_CREDENTIALS_FILE="~/elsewhere",
    )
    m = rds.mount(env, **fields_of("mine", "yours"))

    assert rds.key(m, "mine") == key
    assert rds.key(m, "yours") == other


# --- What is wrong with them


BAD = {
    "half": (
        "aws_access_key_id = x",
        "aws_access_key_id stands without aws_secret_access_key ({config} line {next})",
    ),
    "other-half": (
        "aws_secret_access_key = x",
        "aws_secret_access_key stands without aws_access_key_id ({config} line {next})",
    ),
    "no-entry": (
        "region = eu-west-1\nwhat is this",
        '{config} line {after} is no "key = value"',
    ),
    "empty": (
        "region = eu-west-1",
        "has no keys: no aws_access_key_id, role_arn, web_identity_token_file,"
        " credential_process or sso_session",
    ),
    "alone": (
        "role_arn = {role}",
        "role_arn needs source_profile or credential_source ({config} line {next})",
    ),
    "both": (
        "role_arn = {role}\nsource_profile = good\ncredential_source = Environment",
        "role_arn takes source_profile or credential_source, not both ({config} line"
        " {next})",
    ),
    "spelling": (
        "role_arn = {role}\ncredential_source = environment",
        "credential_source = environment: must be Environment, Ec2InstanceMetadata or"
        " EcsContainer",
    ),
    "nobody": (
        "role_arn = {role}\nsource_profile = missing",
        "profile missing: there is neither [profile missing] in {config} nor"
        " [missing] in {credentials}",
    ),
    "one": (
        "role_arn = {role}\nsource_profile = two",
        "profile two: profile one: its source_profile leads back to it",
    ),
    "two": (
        "role_arn = {role}\nsource_profile = one",
        "profile one: profile two: its source_profile leads back to it",
    ),
    "itself": (
        "role_arn = {role}\nsource_profile = itself",
        "profile itself: its source_profile leads back to it",
    ),
    "mfa": (
        "role_arn = {role}\nsource_profile = good\nmfa_serial = arn:aws:iam::1:mfa/me",
        "mfa_serial: nobody is there to type its code: use sso_session,"
        " credential_process or a role without MFA",
    ),
    "behind-mfa": (
        "role_arn = {role}\nsource_profile = mfa",
        "profile mfa: mfa_serial: nobody is there to type its code: use sso_session,"
        " credential_process or a role without MFA",
    ),
    "token-only": (
        "web_identity_token_file = /nonexistent",
        "a web identity token needs the role to assume: AWS_ROLE_ARN, or role_arn in"
        " the profile",
    ),
    "no-token": (
        "web_identity_token_file = /nonexistent/t\nrole_arn = {role}",
        "web_identity_token_file: /nonexistent/t: No such file or directory",
    ),
    "console": (
        "login_session = arn:aws:iam::1:user/me",
        "login_session: the login of the console cannot be used here: use sso_session",
    ),
    "quote": (
        "credential_process = /bin/echo 'x",
        "credential_process: it ends inside of a quote",
    ),
    "no-session": (
        "sso_session = missing\nsso_account_id = 1\nsso_role_name = r",
        "there is no [sso-session missing] in {config}",
    ),
    "half-sso": (
        "sso_start_url = https://x\nsso_region = eu-west-1\nsso_account_id = 1",
        "sso_role_name is not set",
    ),
}


# In words that name the profile, and file and line where that helps; nothing is
# asked for, and no other source takes its place.
def test_a_profile_that_is_wrong_says_what_and_where(rds, aws, home):
    good, instance = aws.key(), aws.key(temporary=True)
    text, lines = f"[profile good]\n{static(good)}", {}
    for name, (content, _) in BAD.items():
        lines[name] = text.count("\n") + 1
        text += f"[profile {name}]\n{content}\n"
    text += "[profile last]\n"
    role = ROLE.format("etl")
    home.write(text.replace("{role}", role))
    conns = {"good": {"profile": "good"}, "gone": {"profile": "gone"}}
    m = rds.mount(aws.env(instance, **home.env()), **conns, **fields_of(*BAD))

    for name, (_, error) in BAD.items():
        where = {
            "config": home.config,
            "credentials": home.credentials,
            "next": lines[name] + 1,
            "after": lines[name] + 2,
        }
        colon = " " if error.startswith("has no keys") else ": "
        expected = f"profile {name}{colon}{error.format(**where)}"
        assert rds.error(m, name) == expected
    assert rds.error(m, "gone") == (
        f"profile gone: there is neither [profile gone] in {home.config} nor [gone]"
        f" in {home.credentials}"
    )
    assert rds.key(m, "good") == good
    assert aws.journal == []


# What is wrong with a file as a whole says which line it is; once it is mended
# it counts, without a mount anew.
def test_a_file_that_is_wrong_says_which_line(rds, aws, home):
    key = aws.key()
    good = f"[profile mine]\n{static(key)}"
    cases = [
        ("before = 1\n" + good, "{config} line 1 stands before the first [section]"),
        (good + "[profile x\n", "{config} line 4: the name of a section has no end"),
        (good + "\0", "{config} holds a NUL byte"),
        (good + "#" * (4 << 20), "{config} is over 4194304 bytes long"),
    ]
    m = rds.mount(aws.env(**home.env()), db={"profile": "mine"})

    for text, error in cases:
        home.write(text)
        expected = "profile mine: " + error.format(config=home.config)
        assert rds.error(m) == expected

    home.write(good, "[x\n")
    assert rds.error(m) == (
        f"profile mine: {home.credentials} line 1: the name of a section has no end"
    )
    home.credentials.unlink()
    home.config.unlink()
    home.config.mkdir()
    assert rds.error(m) == f"profile mine: {home.config} is not a regular file"
    home.config.rmdir()

    home.write(good)
    assert rds.key(m) == key


# Keys of others could be put there. Who may read them is the user's business.
def test_a_file_that_anybody_can_write_is_refused(rds, aws, home):
    key = aws.key()
    home.write(f"[profile mine]\n{static(key)}", mode=0o646)
    m = rds.mount(aws.env(**home.env()), db={"profile": "mine"})

    refused = rds.error(m)
    home.config.chmod(0o644)

    why = "can be written by anybody: chmod o-w"
    assert refused == f"profile mine: {home.config} {why}"
    assert rds.key(m) == key


def test_nobody_waits_for_a_pipe(rds, aws, home):
    os.mkfifo(home.credentials)
    m = rds.mount(aws.env(**home.env()), db={"profile": "mine"})

    assert rds.error(m) == f"profile mine: {home.credentials} is not a regular file"


# --- Roles


def roles(aws, *names, **how):
    """ARNs of new roles that anybody may assume."""
    for name in names:
        aws.roles[ROLE.format(name)] = Role(**how)
    return [ROLE.format(name) for name in names]


def assumed(aws):
    """(who, role, members) of each AssumeRole, in order."""
    return [
        (entry.key, entry.members["RoleArn"], entry.members)
        for entry in aws.entries("AssumeRole", ok=True)
    ]


# What the profile says of its role is what STS is asked; its keys sign the token,
# and those of the environment have no part in it.
def test_a_role_is_assumed_as_the_profile_says(rds, aws, home):
    user, other = aws.key(), aws.key()
    aws.any_region = True
    (arn,) = roles(aws, "team/etl", external_id="a b+c/d=&e")
    home.write(
        f"[profile base]\n{static(user)}"
        f"[profile etl]\nrole_arn = {arn}\nsource_profile = base\n"
        "external_id = a b+c/d=&e\nrole_session_name = nightly@example.com\n"
        "duration_seconds = 900\nregion = eu-central-1\n"
        f"[profile short]\nrole_arn = {arn}\nsource_profile = base\n"
        "external_id = a b+c/d=&e\nduration_seconds = soon\n"
    )
    m = rds.mount(aws.env(other, **home.env()), **fields_of("etl", "short"))

    assert rds.key(m, "etl").role == arn
    assert rds.source(m, "etl") == "profile etl"
    ((who, _, members),) = assumed(aws)
    assert who == user
    assert members["ExternalId"] == "a b+c/d=&e"
    assert members["RoleSessionName"] == "nightly@example.com"
    assert members["DurationSeconds"] == "900"
    (entry,) = aws.entries("AssumeRole")
    assert entry.signed.region == "eu-central-1"

    # Without them: a name of connfs's own, an hour, and the usual region.
    assert rds.key(m, "short").role == arn
    (_, short) = aws.entries("AssumeRole")
    assert short.members["RoleSessionName"].startswith("connfs-")
    assert short.members["DurationSeconds"] == "3600"
    assert short.signed.region == "eu-west-1"


# Each profile assumes its role with the keys of the one that it names.
def test_roles_lead_from_one_profile_to_the_next(rds, aws, home):
    user = aws.key()
    first, second, third = roles(aws, "first", "second", "third")
    home.write(
        f"[profile third]\nrole_arn = {third}\nsource_profile = second\n"
        f"[profile first]\nrole_arn = {first}\nsource_profile = base\n"
        f"[profile second]\nrole_arn = {second}\nsource_profile = first\n",
        f"[base]\n{static(user)}",
    )
    m = rds.mount(aws.env(**home.env()), db={"profile": "third"})

    key = rds.key(m)

    assert key.role == third
    assert [(who.role, arn) for who, arn, _ in assumed(aws)] == [
        (None, first),
        (first, second),
        (second, third),
    ]


# A profile may assume its role with its own keys; and of one that is named by
# another, its keys count, not its role.
def test_a_profile_can_lead_to_itself(rds, aws, home):
    user = aws.key()
    own, far = roles(aws, "own", "far")
    home.write(
        f"[profile own]\n{static(user)}role_arn = {own}\nsource_profile = own\n"
        f"[profile far]\nrole_arn = {far}\nsource_profile = own\n"
    )
    m = rds.mount(aws.env(**home.env()), **fields_of("own", "far"))

    assert rds.key(m, "own").role == own
    assert rds.key(m, "far").role == far
    assert [(who, arn) for who, arn, _ in assumed(aws)] == [(user, own), (user, far)]


# The profile is that of the spec, but it takes its keys from what is around.
def test_a_role_can_take_its_keys_from_what_is_around(rds, aws, home):
    user = aws.key(temporary=True)
    aws.container.name, aws.container_token = "task", "of the task"
    aws.instance_role = InstanceRole("box")
    sources = ["Environment", "EcsContainer", "Ec2InstanceMetadata"]
    arns = roles(aws, *sources)
    home.write(
        "".join(
            f"[profile {source}]\nrole_arn = {arn}\ncredential_source = {source}\n"
            for source, arn in zip(sources, arns)
        )
    )
    around = {**home.env(), **aws.container_env(), **aws.imds_env()}
    m = rds.mount(aws.env(user, **around), **fields_of(*sources))

    for source, arn in zip(sources, arns):
        assert rds.key(m, source).role == arn
        assert rds.source(m, source) == f"profile {source}"
    who = [key for key, _, _ in assumed(aws)]
    assert who[0] == user
    assert [key.role for key in who[1:]] == [ROLE.format("task"), ROLE.format("box")]


# role_arn of the spec is assumed with the keys of the profile, which are a role's
# themselves; external_id names the parameter that holds it.
def test_the_role_of_the_spec_is_assumed_by_the_role_of_the_profile(rds, aws, home):
    user = aws.key()
    (first,) = roles(aws, "first")
    (last,) = roles(aws, "last", external_id="of the contract")
    aws.parameters["/etl/external-id"] = "of the contract"
    home.write(
        f"[profile etl]\nrole_arn = {first}\nsource_profile = base\n"
        f"[profile base]\n{static(user)}"
    )
    fields = {"profile": "etl", "role_arn": last, "external_id": "/etl/external-id"}
    m = rds.mount(aws.env(**home.env()), db=fields)

    key = rds.key(m)

    assert (key.role, rds.source(m)) == (last, "role last")
    # A role that is assumed by a role is given for an hour at most.
    asked = [(who.role, arn, of["DurationSeconds"]) for who, arn, of in assumed(aws)]
    assert asked == [
        (None, first, "3600"),
        (first, last, "3600"),
    ]
    (entry,) = aws.entries("GetParameter", ok=True)
    assert entry.key.role == first


# Which role, which of the two ends has to allow it; the caller is in AWS's words.
def test_a_role_that_is_refused_says_who_has_to_allow_it(rds, aws, home):
    user = aws.key()
    (arn,) = roles(aws, "etl", external_id="of the contract")
    home.write(
        f"[profile etl]\nrole_arn = {arn}\nsource_profile = base\n"
        f"external_id = another\n[profile base]\n{static(user)}"
    )
    m = rds.mount(aws.env(**home.env()), db={"profile": "etl"})

    error = rds.error(m)

    denied = "profile etl: AssumeRole: AccessDenied: User:"
    assert error.startswith(f"{denied} {user.arn}")
    assert "in the trust policy of the role, and check external_id" in error
    assert "of the contract" not in error and "another" not in error


# The keys are those of AWS's record: a token they signed would be refused, and no
# one would know why.
def test_keys_that_aws_does_not_take_say_so(rds, aws, home):
    expired, gone, wrong = aws.key(temporary=True), aws.key(), aws.key()
    aws.expire(expired)
    aws.expire(gone)
    mixed = dataclasses.replace(wrong, secret_key=gone.secret_key)
    (arn,) = roles(aws, "etl")
    keys = {"expired": expired, "gone": gone, "mixed": mixed}
    home.write(
        "".join(
            f"[profile {name}]\n{static(key)}role_arn = {arn}\nsource_profile ="
            f" {name}\n"
            for name, key in keys.items()
        )
    )
    m = rds.mount(aws.env(**home.env()), **fields_of(*keys))

    ends = {
        "expired": "the AWS keys that sign have expired",
        "gone": "AWS does not know the access key that signs",
        "mixed": "check the secret access key that signs",
    }
    for name, end in ends.items():
        error = rds.error(m, name)
        assert error.startswith(f"profile {name}: AssumeRole: ")
        assert end in error


# --- Files change while it is mounted


# Each login looks whether the files have changed; nobody has to be told.
def test_files_are_read_again_when_they_change(rds, aws, home):
    names = ["first", "second", "third", "fourth", "fifth", "sixth"]
    keys = {name: aws.key() for name in names[:3]}
    (arn,) = roles(aws, "etl")
    m = rds.mount(aws.env(**home.env()), **fields_of_one(*names))
    missing = "profile mine: there is neither [profile mine] in"
    assert rds.error(m, "first").startswith(missing)

    # It appears, is replaced, is written over at the same size.
    home.write(f"[profile mine]\n{static(keys['first'])}")
    assert rds.key(m, "first") == keys["first"]
    home.write(f"[profile mine]\n{static(keys['second'])}")
    assert rds.key(m, "second") == keys["second"]
    with home.config.open("r+") as f:
        f.write(f"[profile mine]\n{static(keys['third'])}")
    assert rds.key(m, "third") == keys["third"]

    # What it leads to changes: another file, another profile.
    home.write(
        f"[profile mine]\nrole_arn = {arn}\nsource_profile = base\n",
        f"[base]\n{static(keys['first'])}",
    )
    assert rds.key(m, "fourth").role == arn
    home.write(credentials=f"[base]\n{static(keys['second'])}")
    assert rds.key(m, "fifth").role == arn
    assert [who for who, _, _ in assumed(aws)] == [keys["first"], keys["second"]]

    # What it does not depend on costs nothing.
    home.write(credentials=f"[base]\n{static(keys['second'])}[other]\nregion = x\n")
    assert rds.key(m, "sixth").role == arn
    assert len(assumed(aws)) == 2


# A file that is wrong for a while, or half written, takes no keys away that work;
# the log says so, once.
def test_keys_outlive_a_file_that_is_wrong_for_a_while(rds, aws, home):
    key, other = aws.key(), aws.key()
    home.write(f"[profile mine]\n{static(key)}")
    m = rds.mount(aws.env(**home.env()), **fields_of_one("a", "b", "c", "d"))
    assert rds.key(m, "a") == key

    home.write("[profile mine\n")
    assert rds.key(m, "b") == key
    assert rds.key(m, "c") == key
    why = f"profile mine: {home.config} line 1: the name of a section has no end"
    assert m.log.count(f"warning: {why} (the present keys are used for as long") == 1

    home.write(f"[profile mine]\n{static(other)}")
    assert rds.key(m, "d") == other
