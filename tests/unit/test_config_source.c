/* SPDX-License-Identifier: MIT */
/*
 * SOURCE as files and directories, settings and options, and what is left in
 * memory of a password.
 *
 *     test_config_source DIRECTORY
 *
 * As root: a file of another user is made.
 */
#include "fs/config.h"

#include <fcntl.h>

#include "tests/unit/config_loading.h"

enum { OTHER = 65534 };

static const struct {
	const char *text;
	const char *error;
} bad_files[] = {
	{"", "@/file.json:1:0: '[' or '{' expected near end of file"},
	{"5", "@/file.json:1:1: '[' or '{' expected"},
	{"{\n  \"a\": 1,\n  \"a\": 2\n}",
	 "@/file.json:3:5: duplicate object key near '\"a\"'"},
	{"{\"conn_id\": \"a\"} x", "@/file.json:1:18: end of file expected"},
	/* What is quoted by the parser may be a password. */
	{"{\"password_plain\": hunter2}", "@/file.json:1:25: invalid token"},
	{"{\"password_plain\" \"hunter2\"}", "@/file.json:1:27: ':' expected"},
	{"{\"password_plain\": \"hunter2",
	 "@/file.json:1:27: premature end of input"},
	{"{\"password_plain\": \"hunter2\" \"x\"}",
	 "@/file.json:1:32: '}' expected"},
	{"{\"password_plain\": \"a\\u0000b\"}",
	 "@/file.json:1:29: \\u0000 is not allowed without JSON_ALLOW_NUL"},
	{"{\"a\": \"\xff\"}", "@/file.json:1:7: unable to decode byte 0xff"},
	{"{\"setings\": {}}",
	 "@/file.json: unknown key \"setings\", did you mean \"settings\"?"},
	{"{\"settings\": {}, \"conections\": []}",
	 "@/file.json: unknown key \"conections\", did you mean "
	 "\"connections\"?"},
	{"{\"connections\": {}}", "@/file.json: connections: must be an array"},
};

/* A file on its own that is no good leaves nothing to mount. */
static void test_bad_file(void)
{
	for (size_t i = 0; i < COUNT(bad_files); i++) {
		check_write("file.json", 0600, bad_files[i].text);
		refuse("file.json", NULL, bad_files[i].error);
	}
	CHECK(mkfifo(check_path("fifo"), 0600) == 0);
	refuse("fifo", NULL, "@/fifo: is not a regular file");
	refuse("missing", NULL,
	       "SOURCE @/missing: @/missing: No such file or directory");
}

static void test_size_of_a_file(void)
{
	enum { MAX = 1024 * 1024 };
	static char text[MAX + 2];
	struct config *config;

	memset(text, ' ', sizeof(text) - 1);
	text[0] = '[';
	text[MAX - 1] = ']';
	text[MAX] = '\0';
	check_write("big.json", 0600, text);
	config = load("big.json", NULL);
	CHECK(config->n_specs == 0 && config->n_errors == 0);
	config_destroy(config);
	text[MAX] = ' ';
	check_write("big.json", 0600, text);
	refuse("big.json", NULL, "@/big.json: is over 1048576 bytes long");
	CHECK(unlink(check_path("big.json")) == 0);
}

/* A deeply nested text does not overflow the stack. */
static void test_depth_of_a_file(void)
{
	static char text[1024 * 1024];

	memset(text, '[', sizeof(text) - 1);
	check_write("deep.json", 0600, text);
	refuse("deep.json", NULL,
	       "@/deep.json:1:2049: maximum parsing depth reached");
}

static void make_dir(const char *name, mode_t mode)
{
	CHECK(mkdir(check_path(name), 0700) == 0);
	CHECK(chmod(check_path(name), mode) == 0);
}

#define LITE_ID(id) \
	"{\"conn_id\": \"" id "\", \"type\": \"sqlite3\", \"host\": \"/x\"}"

/* What connfs --check prints, and its exit status. */
static void check_lines(const struct config *config, int status,
			const char *expected)
{
	char text[4096];
	size_t n;
	FILE *f;
	int out;

	CHECK(fflush(stdout) == 0);
	out = dup(STDOUT_FILENO);
	f = tmpfile();
	CHECK(out >= 0 && f != NULL);
	CHECK(dup2(fileno(f), STDOUT_FILENO) == STDOUT_FILENO);
	CHECK(config_check(config) == status);
	CHECK(fflush(stdout) == 0);
	CHECK(dup2(out, STDOUT_FILENO) == STDOUT_FILENO && close(out) == 0);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	CHECK(fclose(f) == 0);
	check_message(text, expected);
}

/* One bad file or spec does not take the others down. */
static void test_directory(void)
{
	static const char *const errors[] = {
		"@/d/20.json:1:8: '[' or '{' expected",
		"@/d/40.json: is not a regular file",
		"@/d/50.json: @/d/50.json can be written by others than its "
		"owner: chmod go-w",
		"@/d/60.json: @/d/60.json belongs to uid 65534, neither to root "
		"nor to the user who mounts",
		"@/d/10.json: spec 2: conn_id: is missing",
		"@/d/10.json: z: type: is missing",
		"@/d/30.json: a: conn_id: is defined in @/d/10.json already",
	};
	static const char *const ids[] = {"a", "a/b", "b", "c"};
	struct config *config;

	make_dir("d", 0755);
	check_write("d/10.json", 0644,
		    "[" LITE_ID("b") ", {\"type\": \"x\"}, " LITE_ID(
			    "a") ", {\"conn_id\": \"z\"}]");
	check_write("d/20.json", 0644, "nonsense");
	check_write(
		"d/30.json", 0644,
		"{\"settings\": {\"realm\": \"dev\"}, \"connections\": [" LITE_ID(
			"a") ", " LITE_ID("c") "]}");
	make_dir("d/40.json", 0755);
	check_write("d/50.json", 0666, LITE_ID("x"));
	check_write("d/60.json", 0644, LITE_ID("y"));
	CHECK(chown(check_path("d/60.json"), OTHER, OTHER) == 0);
	check_write("d/70.json", 0644, LITE_ID("a/b"));
	check_write("d/80.json~", 0644, "nonsense");
	check_write("d/.90.json", 0644, "nonsense");

	config = load("d", NULL);
	CHECK(config->n_errors == COUNT(errors));
	for (size_t i = 0; i < COUNT(errors); i++)
		check_message(config->errors[i].text, errors[i]);
	CHECK(config->n_specs == COUNT(ids));
	for (size_t i = 0; i < COUNT(ids); i++)
		CHECK_TEXT(config->specs[i]->conn_id, ids[i]);
	check_message(config->specs[0]->file, "@/d/10.json");
	CHECK_TEXT(config->settings.realm, "dev");
	check_lines(config, 1,
		    "OK   a  sqlite3  @/d/10.json  (not enabled)\n"
		    "OK   a/b  sqlite3  @/d/70.json  (not enabled)\n"
		    "OK   b  sqlite3  @/d/10.json  (not enabled)\n"
		    "OK   c  sqlite3  @/d/30.json  (not enabled)\n"
		    "BAD  @/d/20.json:1:8: '[' or '{' expected\n"
		    "BAD  @/d/40.json: is not a regular file\n"
		    "BAD  @/d/50.json: @/d/50.json can be written by others "
		    "than its owner: chmod go-w\n"
		    "BAD  @/d/60.json: @/d/60.json belongs to uid 65534, "
		    "neither to root nor to the user who mounts\n"
		    "BAD  @/d/10.json: spec 2: conn_id: is missing\n"
		    "BAD  @/d/10.json: z: type: is missing\n"
		    "BAD  @/d/30.json: a: conn_id: is defined in @/d/10.json "
		    "already\n");
	config_destroy(config);
}

/* A volume of a container: links into a directory that a link names. */
static void test_directory_of_links(void)
{
	struct config *config;

	make_dir("volume", 01777);
	make_dir("volume/..2024", 0755);
	check_write("volume/..2024/shop.json", 0644, LITE_ID("shop"));
	CHECK(symlink("..2024", check_path("volume/..data")) == 0);
	CHECK(symlink("..data/shop.json", check_path("volume/shop.json")) == 0);
	config = load("volume", NULL);
	check_lines(config, 0,
		    "OK   shop  sqlite3  @/volume/shop.json  (not enabled)\n");
	config_destroy(config);
}

static void test_unsafe_source(void)
{
	make_dir("open", 0777);
	check_write("open/a.json", 0600, LITE_ID("a"));
	refuse("open", NULL,
	       "SOURCE @/open: @/open can be written by others than its "
	       "owner: chmod go-w");
	refuse("open/a.json", NULL,
	       "SOURCE @/open/a.json: @/open can be written by others than its "
	       "owner: chmod go-w");
}

static void test_too_many_specs(void)
{
	struct config *config;
	FILE *f;

	make_dir("many", 0755);
	f = fopen(check_path("many/a.json"), "we");
	CHECK(f != NULL && fputs("[", f) >= 0);
	for (int i = 0; i < 9999; i++)
		CHECK(fprintf(f, LITE_ID("%d") ",", i) > 0);
	CHECK(fputs(LITE_ID("x") "]", f) >= 0 && fclose(f) == 0);
	config = load("many", NULL);
	CHECK(config->n_specs == 10000 && config->n_errors == 0);
	config_destroy(config);
	check_write("many/b.json", 0644,
		    "[" LITE_ID("y") ", " LITE_ID("z") "]");
	config = load("many", NULL);
	CHECK(config->n_specs == 10000 && config->n_errors == 1);
	check_message(config->errors[0].text,
		      "@/many/b.json: spec 1: this and what follows is not "
		      "read: there are over 10000 specs");
	config_destroy(config);
}

/* Control characters end no line of an error. */
static void test_conn_id_on_one_line(void)
{
	struct config *config;

	check_write("one.json", 0600,
		    "{\"conn_id\": \"a\\nb\\u001b\", \"type\": \"x\"}");
	config = load("one.json", NULL);
	check_message(config->errors[0].text,
		      "@/one.json: a b : type: unknown \"x\"");
	CHECK_TEXT(config->errors[0].conn_id, "a\nb\x1b");
	config_destroy(config);
}

static void test_settings(void)
{
	static const char *const none[] = {NULL};
	struct config *config;
	const struct settings *s;

	check_write("s.json", 0600, "[]");
	config = load("s.json", none);
	s = &config->settings;
	CHECK(s->realm == NULL && !s->read_only);
	CHECK_TEXT(s->conn_app_name, "lv-{realm}-{job_id}");
	CHECK_TEXT(s->spool_dir, "/var/tmp");
	CHECK(s->spool_memory == 8 << 20 && s->spool_memory_total == 32 << 20);
	CHECK(s->spool_disk == (uint64_t)4 << 30 && s->max_row == 64 << 20);
	CHECK(s->settle_time_ms == 1000 && s->queue_timeout_ms == 30000);
	CHECK(s->idle_timeout_ms == 600000 && s->connect_timeout_ms == 10000);
	CHECK(s->param_cache_ttl_ms == 120000);
	CHECK(s->idle_in_transaction_timeout_ms == 300000);
	CHECK(s->session_timeout_ms == 3600000);
	CHECK(s->max_connections == 10);
	config_destroy(config);

	check_write("s.json", 0600,
		    "{\"settings\": {\"realm\": \"dev\", \"x-note\": 1,"
		    " \"conn_app_name\": \"{realm}/{job_id}/{user}/{comm}\","
		    " \"spool_dir\": \"/tmp\", \"spool_memory\": \"64KiB\","
		    " \"spool_memory_total\": \"1 G\", \"spool_disk\": 0,"
		    " \"max_row\": \"1.5M\", \"settle_time\": 0,"
		    " \"queue_timeout\": \"1h\", \"idle_timeout\": \"2d\","
		    " \"idle_in_transaction_timeout\": \"90s\","
		    " \"session_timeout\": 0.5,"
		    " \"connect_timeout\": \"1w\", \"max_connections\": 7},"
		    " \"connections\": [" LITE_ID("a") "]}");
	config = load("s.json", none);
	s = &config->settings;
	CHECK_TEXT(s->realm, "dev");
	CHECK_TEXT(s->conn_app_name, "{realm}/{job_id}/{user}/{comm}");
	CHECK_TEXT(s->spool_dir, "/tmp");
	CHECK(s->spool_memory == 65536 && s->spool_memory_total == 1 << 30);
	CHECK(s->spool_disk == 0 && s->max_row == 3 << 19);
	CHECK(s->settle_time_ms == 0 && s->queue_timeout_ms == 3600000);
	CHECK(s->idle_timeout_ms == 172800000);
	CHECK(s->connect_timeout_ms == 604800000);
	CHECK(s->session_timeout_ms == 500);
	CHECK(config->specs[0]->max_connections == 7);
	CHECK(config->specs[0]->idle_in_transaction_timeout_ms == 90000);
	CHECK(config->specs[0]->idle_timeout_ms == 172800000);
	config_destroy(config);
}

static void test_options_win(void)
{
	static const char *const options[] = {"realm=prod",
					      "ro",
					      "settle_time=250ms",
					      "spool_memory=65536",
					      "max_connections=2",
					      "queue_timeout=5",
					      "conn_app_name=a=b",
					      "session_timeout=2m",
					      "param_cache_ttl=0",
					      "idle_in_transaction_timeout=3m",
					      NULL};
	struct config *config;

	check_write("s.json", 0600,
		    "{\"settings\": {\"realm\": \"dev\", \"settle_time\": 9},"
		    " \"connections\": [" LITE_ID("a") "]}");
	config = load("s.json", options);
	CHECK_TEXT(config->settings.realm, "prod");
	CHECK_TEXT(config->settings.conn_app_name, "a=b");
	CHECK(config->settings.read_only && config->specs[0]->read_only);
	CHECK(is_shown(config->specs[0], "\"read_only\": true"));
	CHECK(config->settings.settle_time_ms == 250);
	CHECK(config->settings.queue_timeout_ms == 5000);
	CHECK(config->settings.spool_memory == 65536);
	CHECK(config->settings.session_timeout_ms == 120000);
	CHECK(config->settings.param_cache_ttl_ms == 0);
	CHECK(config->specs[0]->idle_in_transaction_timeout_ms == 180000);
	CHECK(config->specs[0]->max_connections == 2);
	config_destroy(config);
}

static const struct {
	const char *json;
	const char *option;
	const char *error;
} bad_settings[] = {
	{"{\"settings\": []}", NULL, "@/s.json: settings: must be an object"},
	{"{\"settings\": {\"relm\": \"x\"}}", NULL,
	 "@/s.json: settings: unknown key \"relm\", did you mean \"realm\"?"},
	{"{\"settings\": {\"realm\": \"\"}}", NULL,
	 "@/s.json: settings: realm: must not be empty"},
	{"{\"settings\": {\"max_row\": \"64MB\"}}", NULL,
	 "@/s.json: settings: max_row: must be bytes, or a text like \"8MiB\" "
	 "(KiB MiB GiB)"},
	{"{\"settings\": {\"max_row\": 0}}", NULL,
	 "@/s.json: settings: max_row: must be from 1 to 1073741824"},
	{"{\"settings\": {\"spool_memory\": \"99999999999G\"}}", NULL,
	 "@/s.json: settings: spool_memory: must be from 4096 to 1073741824"},
	{"{\"settings\": {\"spool_dir\": \"tmp\"}}", NULL,
	 "@/s.json: settings: spool_dir: must be an absolute path"},
	{"{\"settings\": {\"spool_dir\": \"/nowhere\"}}", NULL,
	 "@/s.json: settings: spool_dir: /nowhere: No such file or directory"},
	{"{\"settings\": {\"spool_dir\": \"/etc/passwd\"}}", NULL,
	 "@/s.json: settings: spool_dir: /etc/passwd: Not a directory"},
	{"{\"settings\": {\"ro\": true}}", NULL,
	 "@/s.json: settings: unknown key \"ro\""},
	{"[]", "relm=x",
	 "option unknown key \"relm\", did you mean \"realm\"?"},
	{"[]", "realm", "option realm: needs a value: realm=VALUE"},
	{"[]", "realm=", "option realm: must not be empty"},
	{"[]", "realm=\xff", "option realm: is not UTF-8"},
	{"[]", "settle_time=soon",
	 "option settle_time: must be seconds, or a text like \"15m\" (ms s m "
	 "h d w)"},
	{"[]", "max_connections=1e3",
	 "option max_connections: must be a whole number"},
	{"[]", "conn_app_name={realm}-{jobid}",
	 "option conn_app_name: \"{jobid}\" is none of {realm} {job_id} {user} "
	 "{comm} {conn_id}"},
};

static void test_bad_settings(void)
{
	for (size_t i = 0; i < COUNT(bad_settings); i++) {
		const char *const options[] = {bad_settings[i].option, NULL};

		check_write("s.json", 0600, bad_settings[i].json);
		refuse("s.json", options, bad_settings[i].error);
	}
}

static void test_one_setting_in_two_files(void)
{
	make_dir("two", 0755);
	check_write("two/a.json", 0600, "{\"settings\": {\"realm\": \"x\"}}");
	check_write("two/b.json", 0600, "{\"settings\": {\"realm\": \"x\"}}");
	refuse("two", NULL,
	       "@/two/b.json: settings: realm: is set in @/two/a.json already");
}

static void test_spec_outlives_its_config(void)
{
	struct config *config = load_one(PG ", \"password_plain\": \"x\"}");
	struct spec *spec = spec_ref(config->specs[0]);

	config_destroy(config);
	CHECK_TEXT(spec->conn_id, "shop");
	spec_unref(spec);
	spec_unref(NULL);
	config_destroy(NULL);
}

/* Of a long one, since malloc() writes over the start of what it got back. */
enum { SECRET_LEN = 200, PART = 20, PART_AT = 150 };

/* Never in one piece in this program, which is searched for it. */
static char secret_byte(size_t i)
{
	return (char)('a' + (i * i * 31 + i * 7 + i / 26) % 26);
}

static void write_secret_spec(void)
{
	static const char head[] = PG ", \"password_plain\": \"";
	int fd = open(check_path("secret.json"), O_WRONLY | O_CREAT | O_CLOEXEC,
		      0600);

	CHECK(fd >= 0);
	CHECK(write(fd, head, sizeof(head) - 1) == sizeof(head) - 1);
	for (size_t i = 0; i < SECRET_LEN; i++) {
		char c = secret_byte(i);

		CHECK(write(fd, &c, 1) == 1);
	}
	CHECK(write(fd, "\"}", 2) == 2 && close(fd) == 0);
}

static size_t count_secret(const char *data, size_t len)
{
	size_t found = 0;

	for (size_t at = 0; at + PART <= len; at++) {
		size_t i = 0;

		while (i < PART && data[at + i] == secret_byte(PART_AT + i))
			i++;
		found += i == PART;
	}
	return found;
}

/* Through the kernel, since a sanitizer forbids to read everything. */
static size_t search_mapping(int mem, unsigned long start, unsigned long end)
{
	struct secret copy = {0}; /* left out of core dumps itself */
	size_t found;

	CHECK(secret_alloc(&copy, end - start) == 0);
	CHECK(pread(mem, copy.data, copy.len, (off_t)start) ==
	      (ssize_t)copy.len);
	found = count_secret(copy.data, copy.len);
	secret_finish(&copy);
	return found;
}

/* How often the secret stands in memory that a core dump would show. */
static size_t search_memory(void)
{
	enum { LARGEST = 64 << 20 /* no sanitizer's shadow */ };
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, end = 0;
	bool writable = false;
	char line[1024];
	size_t found = 0;

	CHECK(mem >= 0 && maps != NULL);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (check_mapping(line, &start, &end))
			writable = strstr(line, " rw") != NULL;
		if (strncmp(line, "VmFlags:", 8) == 0 && writable &&
		    end - start <= LARGEST && strstr(line, " dd") == NULL)
			found += search_mapping(mem, start, end);
	}
	CHECK(fclose(maps) == 0 && close(mem) == 0);
	return found;
}

static void test_search_finds_what_is_there(void)
{
	char *text = malloc(SECRET_LEN);

	CHECK(text != NULL);
	for (size_t i = 0; i < SECRET_LEN; i++)
		text[i] = secret_byte(i);
	CHECK(search_memory() == 1);
	explicit_bzero(text, SECRET_LEN);
	free(text);
	CHECK(search_memory() == 0);
}

/* A password passes through no memory that keeps it. */
static void test_password_is_nowhere_else(void)
{
	struct config *config;
	struct credential c;
	struct err err = {0};

	write_secret_spec();
	config = load("secret.json", NULL);
	CHECK(config->n_specs == 1);
	CHECK(auth_get(config->specs[0]->auth, &c, &err) == 0);
	CHECK(count_secret(c.password.data, c.password.len) == 1);
	CHECK(search_memory() == 0);
	credential_finish(&c);
	config_destroy(config);
}

int main(int argc, char **argv)
{
	CHECK(geteuid() == 0);
	(void)umask(022);
	check_init(argc, argv);
	test_bad_file();
	test_size_of_a_file();
	test_depth_of_a_file();
	test_directory();
	test_directory_of_links();
	test_unsafe_source();
	test_too_many_specs();
	test_conn_id_on_one_line();
	test_settings();
	test_options_win();
	test_bad_settings();
	test_one_setting_in_two_files();
	test_spec_outlives_its_config();
	test_search_finds_what_is_there();
	test_password_is_nowhere_else();
	return 0;
}
