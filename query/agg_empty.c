/*
 * What an aggregate is of no rows, worked out while binding: 0 for count, NULL for most.
 */
#include "query/bind.h"

static int empty_value(struct bind *b, const struct plan_agg *a, struct bx **ret)
{
	const struct agg_def *def = a->func->agg;
	struct agg_call call = {
		.exec = b->exec, .arena = b->arena, .argc = a->argc, .arg_types = a->arg_types,
		.ret_type = a->type, .const_args = a->const_args,
	};
	struct bx *k = bx_new(b, BX_CONST, a->type, a->pos, 0);
	void *state = arena_zalloc(b->arena, def->state_size + 8);
	struct vec_builder vb;
	int rc;

	if (!k || !state)
		return bind_nomem(b);
	rc = vb_init(&vb, a->type, 1, b->arena, b->e);
	if (rc >= 0)
		rc = def->finish(&call, state, &vb, b->e);
	if (rc < 0)
		return rc;
	vb_finish(&vb, &k->value);
	k->value.form = VEC_CONST;
	*ret = k;
	return 0;
}

int agg_or_empty(struct bind *b, const struct plan_agg *a, struct bx **x)
{
	struct bx *empty = NULL, *k;
	int rc = empty_value(b, a, &empty);

	if (rc < 0 || bx_is_null(empty))
		return rc;
	k = bx_new(b, BX_COALESCE, a->type, a->pos, 2);
	if (!k)
		return bind_nomem(b);
	k->args[0] = *x;
	k->args[1] = empty;
	*x = k;
	return 0;
}
