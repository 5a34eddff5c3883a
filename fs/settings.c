/*
 * settings: one value a file; and the schema, which follows from the data. What a value may be is
 * the engine's knowledge: this only carries the text.
 */
#include <stdio.h>

#include "fs/files.h"

int setting_show(struct fs *fs, struct node *n, struct buf *out, struct err *e)
{
	char value[SETTING_TEXT_MAX];

	table_setting(n->table, (enum setting)n->row->arg, value);
	buf_addf(out, "%s\n", value);
	return 0;
}

int setting_store(struct fs *fs, struct node *n, struct str value, struct err *e)
{
	return table_set(n->table, (enum setting)n->row->arg, value, e);
}

/* A name that SQL needs in quotes is shown in quotes. */
static void add_name(struct buf *out, struct str name)
{
	bool plain = name.len > 0 && !(name.ptr[0] >= '0' && name.ptr[0] <= '9');

	for (size_t i = 0; plain && i < name.len; i++) {
		char c = name.ptr[i];
		plain = c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9');
	}
	if (plain) {
		buf_add_str(out, name);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '"')
			buf_addc(out, '"');
		buf_addc(out, name.ptr[i]);
	}
	buf_addc(out, '"');
}

int schema_show(struct fs *fs, struct node *n, struct buf *out, struct err *e)
{
	static const struct { enum colkind kind; const char *name; } kinds[] = {
		{COLKIND_DIMENSION, "dimension"},
		{COLKIND_MEASURE, "measure"},
		{COLKIND_MEASURE_VALUE, "measure_value"},
	};
	const struct series_set *s = table_series(n->table);
	uint32_t count = series_column_count(s);

	buf_adds(out, "time timestamp time\nmeasure_name varchar measure_name\n");
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		for (uint32_t i = 0; i < count; i++) {
			const struct column *c = series_column(s, i);
			if (c->kind != kinds[k].kind)
				continue;
			add_name(out, c->name);
			buf_addf(out, " %s %s\n", coltype_name(c->type), kinds[k].name);
		}
	}
	return 0;
}
