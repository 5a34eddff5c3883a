/*
 * files: the rows. To add a file, add a row here and the function it names; nothing else changes.
 */
#include "fs/files.h"
#include "engine/ingest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RO(l, n, fn, h)  {.level = l, .name = n, .mode = S_IFREG | 0444, .ops = &text_ops, .show = fn, .help = h}
#define DIR(l, n, m, c, h) {.level = l, .name = n, .mode = S_IFDIR | (m), .child = c, .help = h}
#define QUERY(l, n, f, h) \
	{.level = l, .name = n, .mode = S_IFREG | 0666, .ops = &query_ops, .arg = f, .help = h}
#define QUERIES(l)                                                                               \
	QUERY(l, "query", QF_CSV,                                                                \
	      "write SQL, read rows as CSV; one handle for both, or `echo SQL > query; cat query` "  \
	      "in one session"),                                                                 \
	QUERY(l, "query.csv", QF_CSV, "the same, rows as CSV (RFC 4180, with a header)"),        \
	QUERY(l, "query.tsv", QF_TSV, "the same, tab-separated"),                                \
	QUERY(l, "query.json", QF_JSON, "the same, one JSON array of objects"),                  \
	QUERY(l, "query.jsonl", QF_JSONL, "the same, one JSON object a line"),                   \
	QUERY(l, "query.txt", QF_TXT, "the same, an aligned table for people"),                  \
	QUERY(l, "query.parquet", QF_PARQUET, "the same, a Parquet file"),                       \
	DIR(l, "q", 0555, LEVEL_Q,                                                               \
	    "`q/<SQL>.csv`: the file name is the query, with `%2F` for `/`; read-only statements")

static const struct vfile static_rows[] = {
	RO(LEVEL_ROOT, "README", readme_show, "how to use this mount"),
	RO(LEVEL_ROOT, "status", root_status_show, "health of each database and sums over all, one `name: value` a line"),
	QUERIES(LEVEL_ROOT),

	{.level = LEVEL_DB, .name = "ingest", .mode = S_IFREG | 0644, .ops = &ingest_ops,
	 .help = "append InfluxDB line protocol; the measurement names the table, which is made on first use"},
	{.level = LEVEL_DB, .name = "ingest.jsonl", .mode = S_IFREG | 0644, .ops = &ingest_ops, .arg = INGEST_JSONL,
	 .help = "append JSON lines: flat rows, whose `table` or `measure_name` names the table, or WriteRecords requests"},
	QUERIES(LEVEL_DB),
	{.level = LEVEL_DB, .name = "rejected", .mode = S_IFREG | 0644, .ops = &rejected_ops,
	 .help = "refused lines that name no table of this database, as those of a table"},
	DIR(LEVEL_DB, "snapshots", 0755, LEVEL_SNAPSHOTS,
	    "`mkdir` of one makes a read-only copy of the database as of that moment, `rmdir` drops it; a copy of "
	    "it into a new database is that database"),
	RO(LEVEL_DB, "status", db_status_show,
	   "health of this database, its rows, log and last recovery, and the last thing that was refused in it"),

	{.level = LEVEL_TABLE, .name = "ingest", .mode = S_IFREG | 0644, .ops = &ingest_ops,
	 .help = "append InfluxDB line protocol, a row a line; fsync(2) makes it survive power loss"},
	{.level = LEVEL_TABLE, .name = "ingest.jsonl", .mode = S_IFREG | 0644, .ops = &ingest_ops, .arg = INGEST_JSONL,
	 .help = "append JSON lines: flat rows, or records and requests in the shape of Timestream's WriteRecords"},
	{.level = LEVEL_TABLE, .name = "rejected", .mode = S_IFREG | 0644, .ops = &rejected_ops,
	 .help = "refused lines with when, where and why, as JSON lines; truncate it to clear it"},
	RO(LEVEL_TABLE, "schema", schema_show, "`column type kind` a line"),
	RO(LEVEL_TABLE, "stats", stats_show, "rows, bytes, files and ages in memory and in tiles, compression, pending work, failures; one `name: value` a line"),
	DIR(LEVEL_TABLE, "retention", 0755, LEVEL_RETENTION, "how long rows stay in which store"),
	DIR(LEVEL_TABLE, "settings", 0755, LEVEL_SETTINGS, "one value a file"),
	DIR(LEVEL_TABLE, "magnetic", 0755, LEVEL_MAGNETIC,
	    "tiles, as `ts_date=YYYY-MM-DD/ts_part=NN/*.parquet`; `rm` of one deletes its rows, `cp` of one into it brings them back"),
};

/* Names of files that later versions add: taken now, so that no table stands in their way. */
static const char *const names_to_come[] = {
	"metrics",     "queries",     "running",      "scheduled",    "snapshot.json", "import",
	"follow",      "latest",      "latest.csv",   "latest.json",  "latest.prom", "ingest.csv",
	"ingest.prom", "query.arrow", "README.md",  "_delta_log",
};

/* Setting rows go where the first part of their name says. */
static const struct { const char *prefix; enum level level; } setting_dirs[] = {
	{"retention/", LEVEL_RETENTION},
	{"settings/", LEVEL_SETTINGS},
};

#define ROWS_MAX (ARRAY_LEN(static_rows) + SETTINGS)
static struct vfile rows[ROWS_MAX]; /* constant after files_init() */
static int row_n;
static const char *reserved[ROWS_MAX + ARRAY_LEN(names_to_come) + 1];

int files_init(void)
{
	int n = 0;

	row_n = 0;
	for (size_t i = 0; i < ARRAY_LEN(static_rows); i++)
		rows[row_n++] = static_rows[i];
	for (int s = 0; s < SETTINGS; s++) {
		for (size_t d = 0; d < ARRAY_LEN(setting_dirs); d++) {
			const char *prefix = setting_dirs[d].prefix;
			if (!str_starts(str_from(setting_defs[s].name), prefix))
				continue;
			rows[row_n++] = (struct vfile){
				.level = setting_dirs[d].level,
				.name = setting_defs[s].name + strlen(prefix),
				.mode = S_IFREG | 0644,
				.ops = &text_ops,
				.show = setting_show,
				.store = setting_store,
				.arg = s,
				.help = setting_defs[s].help,
			};
		}
	}
	for (int i = 0; i < row_n; i++)
		if (rows[i].level == LEVEL_ROOT || rows[i].level == LEVEL_DB || rows[i].level == LEVEL_TABLE)
			reserved[n++] = rows[i].name;
	for (size_t i = 0; i < ARRAY_LEN(names_to_come); i++)
		reserved[n++] = names_to_come[i];
	reserved[n] = NULL;
	return 0;
}

const char *const *files_reserved_names(void)
{
	return reserved;
}

const struct vfile *files_find(enum level level, const char *name)
{
	for (int i = 0; i < row_n; i++)
		if (rows[i].level == level && strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

const struct vfile *files_row(enum level level, int i)
{
	for (int r = 0; r < row_n; r++)
		if (rows[r].level == level && i-- == 0)
			return &rows[r];
	return NULL;
}

#define LETTERS_WRONG 2
#define NAME_LETTERS  32

/* How many letters to add, drop or change to make b of a, but for case. Both have at most NAME_LETTERS. */
static size_t letters_wrong(const char *a, const char *b)
{
	size_t row[NAME_LETTERS + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = diagonal + (tolower((uint8_t)a[i - 1]) != tolower((uint8_t)b[j - 1]));
			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

const char *files_misspelt(enum level level, const char *name)
{
	/* Those that editors make have dots, tildes, digits. */
	if (strlen(name) > NAME_LETTERS || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-")])
		return NULL;
	for (int i = 0; files_row(level, i); i++) {
		const char *is = files_row(level, i)->name;
		if (strlen(is) <= NAME_LETTERS && letters_wrong(name, is) <= LETTERS_WRONG)
			return is;
	}
	return NULL;
}

/* ---- what is printed from the rows -------------------------------------------------------------- */

static const struct {
	enum level level;
	const char *path;
	const char *what;
} sections[] = {
	{LEVEL_ROOT, "/", "The mount. `mkdir NAME` makes a database, `rmdir` drops an empty one."},
	{LEVEL_DB, "/DATABASE/", "A database. `mkdir NAME` makes a table; `rmdir` drops one without rows, `DROP TABLE` any."},
	{LEVEL_TABLE, "/DATABASE/TABLE/", "A table."},
	{LEVEL_RETENTION, "/DATABASE/TABLE/retention/", "Durations such as 90s, 12h, 7d or 10y. Write one to change it."},
	{LEVEL_SETTINGS, "/DATABASE/TABLE/settings/", "One value a file. Write one to change it; what is refused changes nothing."},
};

static void mode_text(mode_t mode, char *to)
{
	static const char letters[] = "rwxrwxrwx";

	to[0] = S_ISDIR(mode) ? 'd' : '-';
	for (int i = 0; i < 9; i++)
		to[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
	to[10] = '\0';
}

static void print_section(struct buf *out, size_t i, bool markdown)
{
	enum level level = sections[i].level;

	buf_addf(out, markdown ? "\n## `%s`\n\n%s\n\n" : "\n%s\n  %s\n\n", sections[i].path,
		 sections[i].what);
	if (markdown)
		buf_adds(out, "| file | mode | what it is |\n|---|---|---|\n");
	for (int k = 0; files_row(level, k); k++) {
		const struct vfile *row = files_row(level, k);
		const char *slash = S_ISDIR(row->mode) ? "/" : "";
		char mode[11];

		mode_text(row->mode, mode);
		if (markdown) {
			buf_addf(out, "| `%s%s` | `%s` | %s", row->name, slash, mode, row->help);
			if (row->store == setting_store)
				buf_addf(out, ". Allowed: %s. Default: `%s`", setting_defs[row->arg].allowed,
					 setting_defs[row->arg].dflt);
			buf_adds(out, " |\n");
		} else {
			buf_addf(out, "  %s%-*s %s\n", row->name, (int)(14 - strlen(row->name)), slash,
				 row->help);
		}
	}
}

int files_print_readme(struct buf *out)
{
	buf_adds(out,
		 "tidefs: a time-series database, mounted.\n"
		 "\n"
		 "  mkdir iot                                                make a database\n"
		 "  echo 'weather,station=7 temp=21.4' >> iot/weather/ingest append a row (mkdir iot/weather first,\n"
		 "                                                           or append to iot/ingest)\n"
		 "  cat 'q/SELECT avg(temp) FROM iot.weather.csv'            ask\n"
		 "  echo 'SELECT * FROM iot.weather' > query; cat query      ask, with longer statements\n"
		 "  echo 30d > iot/weather/retention/magnetic                keep rows for 30 days\n"
		 "  rm iot/weather/magnetic/ts_date=2024-01-01/*/*.parquet   delete a day\n"
		 "  cp -r backup/. iot/weather/magnetic                      restore tiles from a copy\n"
		 "\n"
		 "When a write to `ingest` fails with `Invalid argument`, `rejected` says why; when a query does,\n"
		 "reading it gives the reason; when a setting does, `status` has it.\n");
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		print_section(out, i, false);
	return out->rc;
}

int files_print_docs(struct buf *out)
{
	buf_adds(out,
		 "# The files of a mount\n"
		 "\n"
		 "Generated by `tidefs --print-files` from the table in `fs/files.c`; `make docs` writes\n"
		 "it anew. Modes are those that a file has until somebody changes it with `chmod`. Names in\n"
		 "these tables cannot be names of databases or tables.\n");
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		print_section(out, i, true);
	buf_adds(out,
		 "\n## `/DATABASE/TABLE/magnetic/`\n\n"
		 "`ts_date=YYYY-MM-DD/ts_part=NN/<t0>_<t1>_<generation>.parquet`: one immutable Parquet file a\n"
		 "tile. `rm` deletes the rows that are in it. Directories come and go with their tiles.\n"
		 "\n"
		 "A tile that is copied in is restored, be it of this table, of another one, or of another mount: its\n"
		 "columns are found by name, its series by their dimensions, and its rows are written as of now, so they\n"
		 "replace what is there at the same series and time. Rows older than the retention are left out. Where\n"
		 "below `magnetic/` it is put does not matter; `ts_date=` and `ts_part=` directories can be made for it. It\n"
		 "comes back as a tile of another name, within seconds where its rows are older than `retention/memory`.\n"
		 "\n"
		 "- It counts when it is closed under a name that ends in `.parquet`, or is renamed to one, and is taken\n"
		 "  whole or not at all. When close(2) or rename(2) succeeded, the rows are visible and survive power loss.\n"
		 "- What is no whole tile, damaged, or does not fit the table is refused there with EINVAL; the reason is\n"
		 "  in `rejected`, and in `status`. Nothing of it stays.\n"
		 "- Other names are temporary: they are their owner's alone and go ten minutes after their last close.\n"
		 "- For ten seconds a restored file can be looked up and read under the name that it was copied to, for\n"
		 "  tools that set its times; it is not listed, and removing it removes the name alone.\n"
		 "- A tile that is there may be copied over (`cp`, `>`): that is a restore too, and the tile stays until it\n"
		 "  is merged with what came. It cannot be changed in place.\n"
		 "\n## `/DATABASE/snapshots/`\n\n"
		 "`mkdir NAME` copies the whole database as of that moment, all tables at once; writers go on meanwhile. It\n"
		 "returns when the copy is complete and safe on disk; a signal ends it, and then nothing of it is there.\n"
		 "`rmdir NAME` drops one, although it is not empty. Below it lie `snapshot.json`\n"
		 "([format](format-snapshot.md)) and `TABLE/magnetic/ts_date=YYYY-MM-DD/ts_part=NN/*.parquet`; nothing there\n"
		 "ever changes (`Read-only file system`, to root as well, so `rm -r` leaves a snapshot whole and ends with 1).\n"
		 "Permissions are those of the tables, or those that a table had when it was dropped.\n"
		 "\n"
		 "## `/DATABASE/snapshot.json`\n\n"
		 "Not listed. A `snapshot.json` that is copied into a database, or renamed to this name there, makes the tables\n"
		 "it names, with columns and settings, when it is closed; what does not fit is an error of close(2) or\n"
		 "rename(2), changes nothing, and is explained in `status`. So `cp -r`, `rsync -a` or `tar` of a snapshot into\n"
		 "a new database restores it. The text can be read back for ten minutes; removing it changes nothing.\n"
		 "The process that copied it in may mkdir(2) those tables, and one that makes a table its `magnetic/`, as if\n"
		 "they were not there: `cp -r` takes what is there already in a directory of its own for an error.\n"
		 "\n## `q/`\n\n"
		 "Lists nothing, and finds every name that is, or begins like, a statement. The last known extension (`.csv`,\n"
		 "`.tsv`, `.json`, `.jsonl`, `.txt`) is the format; a `;` before it ends the SQL, for statements\n"
		 "that end in such a word. `%2F` stands for `/`, `%252F` for a literal `%2F`. A statement that is\n"
		 "wrong opens; reading it gives the reason, and then an error in place of the end of the file.\n");
	return out->rc;
}
