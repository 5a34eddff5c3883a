/*
 * unload_doc: the two JSON documents beside the files of an UNLOAD: what columns there are, and which
 * files. Their shapes, and the names and versions in them, are Timestream's: programs look for them.
 */
#include "query/format.h"
#include "query/unload.h"
#include "query/unload_dir.h"

static void put_type(const struct type *t, struct buf *out);

static void put_column(struct str name, const struct type *t, struct buf *out)
{
	buf_addc(out, '{');
	if (name.ptr) {
		buf_adds(out, "\"Name\":");
		json_string(name, out);
		buf_addc(out, ',');
	}
	buf_adds(out, "\"Type\":");
	put_type(t, out);
	buf_addc(out, '}');
}

static void put_type(const struct type *t, struct buf *out)
{
	static const char *const scalars[] = {
		[TY_UNKNOWN] = "UNKNOWN", [TY_BOOLEAN] = "BOOLEAN", [TY_INTEGER] = "INTEGER", [TY_BIGINT] = "BIGINT",
		[TY_DOUBLE] = "DOUBLE", [TY_VARCHAR] = "VARCHAR", [TY_DATE] = "DATE", [TY_TIME] = "TIME",
		[TY_TIMESTAMP] = "TIMESTAMP", [TY_INTERVAL_DS] = "INTERVAL_DAY_TO_SECOND",
		[TY_INTERVAL_YM] = "INTERVAL_YEAR_TO_MONTH",
	};

	switch (t->kind) {
	case TY_ARRAY:
	case TY_TIMESERIES:
		buf_addf(out, "{\"%s\":", t->kind == TY_ARRAY ? "ArrayColumnInfo" : "TimeSeriesMeasureValueColumnInfo");
		put_column((struct str){NULL, 0}, t->elem, out);
		buf_addc(out, '}');
		break;
	case TY_ROW:
		buf_adds(out, "{\"RowColumnInfo\":[");
		for (uint32_t f = 0; f < t->field_count; f++) {
			if (f)
				buf_addc(out, ',');
			put_column(t->fields[f].name, t->fields[f].type, out);
		}
		buf_adds(out, "]}");
		break;
	default:
		buf_addf(out, "{\"ScalarType\":\"%s\"}", scalars[t->kind]);
		break;
	}
}

void unload_metadata(const struct plan *query, struct buf *out)
{
	buf_adds(out, "{\"ColumnInfo\":[");
	for (uint32_t i = 0; i < query->col_count; i++) {
		if (i)
			buf_addc(out, ',');
		put_column(query->cols[i].name, query->cols[i].type, out);
	}
	buf_adds(out, "],\"Author\":{\"Name\":\"Amazon Timestream\",\"MetadataFileVersion\":\"1.0\"}}\n");
}

void unload_manifest(const struct unload_spec *s, const struct unload_file *files, uint64_t rows, struct buf *out)
{
	uint64_t bytes = 0;

	buf_adds(out, "{\"result_files\":[");
	for (const struct unload_file *f = files; f; f = f->next) {
		buf_adds(out, f == files ? "\n{\"url\":" : ",\n{\"url\":");
		json_string(f->path, out);
		buf_addf(out, ",\"file_metadata\":{\"content_length_in_bytes\":%llu,\"row_count\":%llu}}",
			 (unsigned long long)f->bytes, (unsigned long long)f->rows);
		bytes += f->bytes;
	}
	buf_addf(out, "],\n\"query_metadata\":{\"content_length_in_bytes\":%llu,\"total_row_count\":%llu,"
		      "\"result_format\":\"%s\",\"result_version\":\"Amazon Timestream version 1.0.0\"},\n"
		      "\"author\":{\"name\":\"Amazon Timestream\",\"manifest_file_version\":\"1.0\"}}\n",
		 (unsigned long long)bytes, (unsigned long long)rows, s->is_parquet ? "PARQUET" : "CSV");
}
