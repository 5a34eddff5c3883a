#include "fs/slots.h"

#include <stdio.h>
#include <stdlib.h>

#include "fs/results.h"
#include "query/ast.h"

/* ---- the text of a statement ----------------------------------------------------------------------- */

void stmt_init(struct stmt *s)
{
	*s = (struct stmt){0};
	buf_init(&s->text, SQL_TEXT_MAX + 1);
}

void stmt_release(struct stmt *s)
{
	buf_release(&s->text);
}

void stmt_restart(struct stmt *s)
{
	buf_clear(&s->text);
	s->complete = s->taken = s->has_run = false;
	s->rc = 0;
	s->serial++;
}

bool stmt_is_empty(const struct stmt *s)
{
	return s->rc == 0 && str_trim(buf_str(&s->text)).len == 0;
}

static int stmt_fail(struct stmt *s, int rc, struct err *e)
{
	const char *why = err_text(e, rc);

	buf_clear(&s->text);
	s->complete = s->taken = s->has_run = false;
	s->rc = rc;
	snprintf(s->sentence, sizeof s->sentence, "%s", why);
	s->serial++;
	return rc;
}

/* Does this one change something? It parsed up to its ';', or this says what is wrong. */
static int changes(struct str text, bool *ret, bool *ret_empty, struct err *e)
{
	struct arena a;
	struct ast_stmt **v;
	uint32_t n;
	int rc;

	arena_init(&a, NULL);
	rc = sql_parse(&a, text, &v, &n, e);
	if (rc >= 0) {
		*ret_empty = n == 0;
		*ret = n > 0 && stmt_changes(v[0]);
	}
	arena_release(&a);
	return rc;
}

bool stmt_lacks_end(const struct stmt *s)
{
	struct err ignored = {0};
	bool changing = false, empty;

	return s->rc == 0 && changes(buf_str(&s->text), &changing, &empty, &ignored) >= 0 && changing;
}

static bool blank(const char *p, size_t n)
{
	return str_trim((struct str){p, n}).len == 0;
}

/*
 * A message's place counts from where its statement's part of the text begins: behind `done` bytes of others,
 * which the person who wrote them all counts as well.
 */
static void place_behind(const char *text, size_t done, int rc, struct err *e)
{
	unsigned line, col, lines = 0, cols = 0;
	char sentence[sizeof e->text];
	int n = 0;

	if (!done || !e->code || sscanf(e->text, "line %u:%u: %n", &line, &col, &n) != 2 || !n)
		return;
	for (size_t i = 0; i < done; i++) {
		if (text[i] == '\n') {
			lines++;
			cols = 0;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			cols++; /* characters, as the lexer counts */
		}
	}
	snprintf(sentence, sizeof sentence, "%s", e->text + n);
	(void)err_set(e, rc, "line %u:%u: %s", line + lines, line == 1 ? col + cols : col, sentence);
}

/* All of a write is done with, up to `done`: what is left of the text, or what a reader gets instead of it. */
static void end_write(struct stmt *s, size_t done, int64_t rows, bool has_run, const struct buf *reply)
{
	buf_drop_front(&s->text, done);
	if (!blank(s->text.data, s->text.len))
		return;
	if (rows >= 0) {
		buf_clear(&s->text);
		buf_add_str(&s->text, buf_str(reply)); /* in whichever format */
		s->complete = true;
	} else if (has_run) {
		s->complete = s->has_run = true;
	}
}

int64_t stmt_write(struct stmt *s, struct fs *fs, const struct caller *who, struct writer *w, struct db *db,
		   const char *p, size_t n, struct err *e)
{
	size_t before, done = 0; /* bytes of the text: before this write; of statements that are done with */
	size_t ran = 0;          /* of it up to the last one that changed something */
	int64_t rows = -1;       /* that the last of these deleted, inserted or unloaded */
	struct buf reply;        /* what it has to tell, as a statement */
	bool has_run = false;    /* the last of these changed something */
	int rc = 0;

	if (s->complete || s->taken || s->rc < 0) {
		if (blank(p, n) && s->rc == 0)
			return (int64_t)n; /* the newline behind the ';' */
		stmt_restart(s);
	}
	before = s->text.len;
	buf_add(&s->text, p, n);
	buf_init(&reply, SQL_TEXT_MAX);
	if (s->text.rc < 0 || s->text.len > SQL_TEXT_MAX) {
		rc = err_set(e, -E2BIG, "a statement has at most %d bytes", SQL_TEXT_MAX);
		return stmt_fail(s, rc, e);
	}
	s->serial++;
	for (;;) {
		struct str rest = {s->text.data + done, s->text.len - done};
		bool changing = false, empty = false;
		size_t end = 0;

		rc = sql_split(rest, &end, e);
		if (rc < 0 || end == 0)
			break;
		rc = changes((struct str){rest.ptr, end}, &changing, &empty, e);
		if (rc < 0)
			break;
		if (changing) {
			buf_clear(&reply);
			rc = statement_run(fs, who, w, db, (struct str){rest.ptr, end}, &rows, &reply, e);
			if (rc < 0)
				break;
			has_run = true;
			ran = done += end;
		} else if (empty) {
			done += end;
		} else if (blank(rest.ptr + end, rest.len - end)) {
			/* Rows: they are made when somebody reads. What is wrong is said now. */
			rc = statement_check(fs, who, db, (struct str){rest.ptr, end}, e);
			s->complete = rc >= 0;
			break;
		} else {
			done += end; /* nobody read it, and another statement follows: the last one counts */
			rows = -1;
			has_run = false;
		}
	}
	if (rc >= 0)
		end_write(s, done, rows, has_run, &reply);
	buf_release(&reply);
	if (rc == -EINTR) {
		/* As if this write had ended before the statement: it may come again. */
		s->text.len = MAX(before, done);
		buf_drop_front(&s->text, done);
		return done > before ? (int64_t)(done - before) : rc;
	}
	if (rc < 0) {
		place_behind(s->text.data, done, rc, e);
		stmt_fail(s, rc, e);
		/* What ran has run: a writer that writes the rest again must not run it twice. */
		return ran > before ? (int64_t)(ran - before) : rc;
	}
	return (int64_t)n;
}

/* ---- slots ------------------------------------------------------------------------------------------- */

struct slot {
	uid_t uid; /* constant, as sid and db */
	pid_t sid;
	struct db *db; /* referenced, or NULL: the root */
	pthread_mutex_t mu;
	struct stmt stmt;  /* guarded by mu */
	int refs;          /* guarded by slots->mu, as all below; one for the list */
	int64_t used_ns;   /* monotonic */
	struct slot *next;
};

struct slots {
	pthread_mutex_t mu;
	struct slot *list;
};

int slots_create(struct slots **ret)
{
	struct slots *ss = calloc(1, sizeof *ss);

	if (!ss)
		return -ENOMEM;
	pthread_mutex_init(&ss->mu, NULL);
	*ret = ss;
	return 0;
}

static void slot_free(struct slot *s)
{
	stmt_release(&s->stmt);
	db_put(s->db);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

void slots_destroy(struct slots *ss)
{
	if (!ss)
		return;
	while (ss->list) {
		struct slot *s = ss->list;
		ss->list = s->next;
		slot_free(s);
	}
	pthread_mutex_destroy(&ss->mu);
	free(ss);
}

void slot_put(struct slots *ss, struct slot *s)
{
	bool dead;

	if (!s)
		return;
	pthread_mutex_lock(&ss->mu);
	dead = --s->refs == 0;
	pthread_mutex_unlock(&ss->mu);
	if (dead)
		slot_free(s);
}

/* Caller holds mu; returns it when nobody else has it, for freeing after the lock. */
static struct slot *unlink_locked(struct slots *ss, struct slot *s)
{
	struct slot **p = &ss->list;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	return --s->refs == 0 ? s : NULL;
}

void slots_tick(struct slots *ss, int64_t mono_ns)
{
	struct slot *dead = NULL;

	do {
		struct slot *s;
		pthread_mutex_lock(&ss->mu);
		for (s = ss->list; s; s = s->next)
			if (s->refs == 1 && (mono_ns - s->used_ns > SLOT_TTL_NS || (s->db && db_dropped(s->db))))
				break;
		dead = s ? unlink_locked(ss, s) : NULL;
		pthread_mutex_unlock(&ss->mu);
		if (dead)
			slot_free(dead);
	} while (dead);
}

struct slot *slot_find(struct slots *ss, uid_t uid, pid_t sid, struct db *db, bool make)
{
	struct slot *s, *made = NULL, *oldest = NULL, *dead = NULL;
	int count = 0;

	if (make && (made = calloc(1, sizeof *made))) {
		made->uid = uid;
		made->sid = sid;
		made->db = db ? db_get(db) : NULL;
		made->refs = 2;
		pthread_mutex_init(&made->mu, NULL);
		stmt_init(&made->stmt);
	}
	pthread_mutex_lock(&ss->mu);
	for (s = ss->list; s; s = s->next) {
		if (s->uid != uid)
			continue;
		if (s->sid == sid && s->db == db)
			break;
		count++;
		if (!oldest || s->used_ns < oldest->used_ns)
			oldest = s;
	}
	if (s) {
		s->refs++;
	} else if (made) {
		if (count >= SLOTS_PER_UID)
			dead = unlink_locked(ss, oldest);
		made->next = ss->list;
		ss->list = made;
		s = made;
		made = NULL;
	}
	if (s)
		s->used_ns = clock_mono_ns();
	pthread_mutex_unlock(&ss->mu);
	if (made)
		slot_free(made);
	if (dead)
		slot_free(dead);
	return s;
}

struct stmt *slot_lock(struct slot *s)
{
	pthread_mutex_lock(&s->mu);
	return &s->stmt;
}

void slot_unlock(struct slot *s)
{
	pthread_mutex_unlock(&s->mu);
}
