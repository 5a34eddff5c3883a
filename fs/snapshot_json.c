/*
 * snapshot_json: a snapshot.json that is copied into a database makes its tables.
 */
#include "fs/makers.h"
#include "fs/snapshots.h"

bool snapshot_json_dir(const struct node *dir, const char *name)
{
	/* ".snapshot.json.Xa3b9c" of rsync, "snapshot.json.part" of others */
	return dir->kind == NODE_DIR && dir->level == LEVEL_DB && strstr(name, SNAPSHOT_JSON) != NULL;
}

struct asking {
	struct fs *fs;
	struct db *db;
	struct caller *c;
};

static bool may_change(void *ctx, struct table *t)
{
	struct asking *a = ctx;
	return settings_allowed(a->fs, a->c, a->db, t);
}

/* Whoever copies it in will want to make it. */
static void made(void *ctx, struct table *t)
{
	struct asking *a = ctx;
	makers_add_table(a->fs->makers, a->c->pid, t);
}

int snapshot_json_store(struct fs *fs, struct node *dir, struct str text, struct caller *c, struct err *e)
{
	struct asking a = {fs, dir->db, c};
	struct snapshot_hooks hooks = {may_change, made, &a};
	int rc = node_access(fs, dir, c, W_OK | X_OK);

	if (rc >= 0)
		rc = db_snapshot_apply(dir->db, text, &hooks, e);
	if (rc < 0 && e->code)
		fs_note_refusal(fs, dir, e, rc);
	return rc;
}
