/* SPDX-License-Identifier: Apache-2.0 */
/* hull login and logout. A password is never an argument: it is asked for, or comes by standard
 * input. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/proc.h"
#include "registry/confine.h"
#include "registry/creds.h"
#include "registry/ops.h"

enum { TEXT_MAX = 8 << 10 };

struct login {
	const char *host, *user;
	bool from_stdin, any;
	struct creds creds; /* owned */
};

static int parse_login(int argc, char **argv, struct login *l, struct err *err)
{
	static const struct option options[] = {{"username", required_argument, NULL, 'u'},
						{"password-stdin", no_argument, NULL, 'p'},
						{"any", no_argument, NULL, 'a'},
						{0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'u')
			l->user = optarg;
		else if (c == 'p')
			l->from_stdin = true;
		else if (c == 'a')
			l->any = true;
		else
			return err_set(err, EINVAL, "called with an unknown option");
	}
	if (argc - optind != 1)
		return err_set(err, EINVAL, "called without a registry");
	l->host = argv[optind];
	return 0;
}

/* A line from the terminal, with or without showing it; the caller frees. */
static int ask(const char *prompt, bool hidden, char **ret, struct err *err)
{
	struct termios old, quiet;
	char line[1024];

	(void)fprintf(stderr, "%s: ", prompt);
	if (hidden && tcgetattr(STDIN_FILENO, &old) == 0) {
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	const char *got = fgets(line, sizeof(line), stdin);
	if (hidden) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		(void)fputc('\n', stderr);
	}
	if (!got)
		return err_set(err, EINVAL, "no %s was given", prompt);
	line[strcspn(line, "\n")] = '\0';
	*ret = strdup(line);
	explicit_bzero(line, sizeof(line));
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* All of standard input but a newline at its end; the caller frees. */
static int read_secret(char **ret, struct err *err)
{
	char text[TEXT_MAX];

	ssize_t n = read_upto(STDIN_FILENO, text, sizeof(text) - 1, "standard input", err);
	if (n < 0)
		return (int)n;
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	text[n] = '\0';
	if (n == 0 || strlen(text) != (size_t)n)
		return err_set(err, EINVAL, "no password on standard input");
	*ret = strdup(text);
	explicit_bzero(text, sizeof(text));
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int gather(const struct login *l, struct creds *c, struct err *err)
{
	bool terminal = isatty(STDIN_FILENO) != 0;
	int r = 0;

	if (l->from_stdin && !l->user)
		return err_set(err, EINVAL, "--password-stdin needs --username");
	if (!l->from_stdin && !terminal)
		return err_set(
			err, EINVAL,
			"no terminal to ask for a password at (--password-stdin takes it from standard input)");
	if (l->user) {
		c->user = strdup(l->user);
		r = c->user ? 0 : err_set(err, ENOMEM, "out of memory");
	} else {
		r = ask("username", false, &c->user, err);
	}
	if (r == 0 && (!*c->user || strchr(c->user, ':')))
		r = err_set(err, EINVAL, "a user's name is not empty and holds no ':'");
	if (r < 0)
		return r;
	return l->from_stdin ? read_secret(&c->secret, err)
			     : ask("password", true, &c->secret, err);
}

/* Whether the registry takes them; without any rights from here on. */
static int try_confined(void *ctx, struct err *err)
{
	const struct login *l = ctx;
	const struct session_target target = {.host = l->host, .repository = "", .any = l->any};
	AUTO(http_response_done) struct http_response r = {0};
	AUTO(session_done) struct session s = {.n = 0};
	struct http_request q = {.method = "GET", .from = -1};

	int k = session_init(&target, &s, err);
	if (k < 0)
		return k;
	struct origin *home = session_home(&s);
	home->creds = l->creds;
	home->has_creds = true;
	k = registry_confine(err);
	if (k == 0)
		k = session_ask(&s, home, "", &q, &r, err);
	home->creds = (struct creds){0}; /* the caller's */
	if (k < 0)
		return k;
	if (r.status == 401)
		return err_set(err, EACCES, "%s: refuses this user or password", l->host);
	return r.status == 200 ? 0 : session_refused(home, "login", &r, err);
}

/* The same in a child: who writes the file of credentials needs the user's rights. */
static int try_out(struct login *l, struct err *err)
{
	struct err why = ERR_INIT;

	int r = proc_call(try_confined, l, &why, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, EIO, "%s: the login ended without an answer", l->host);
	return why.code ? err_set(err, why.code, "%s", why.msg) : 0;
}

int login_main(int argc, char **argv, struct err *err)
{
	struct login l = {NULL};

	int r = parse_login(argc, argv, &l, err);
	if (r == 0)
		r = gather(&l, &l.creds, err);
	if (r == 0)
		r = try_out(&l, err);
	if (r == 0)
		r = creds_save(l.host, &l.creds, err);
	creds_done(&l.creds);
	return r;
}

int logout_main(int argc, char **argv, struct err *err)
{
	if (argc != 2)
		return err_set(err, EINVAL, "called without a registry");
	int r = creds_remove(argv[1], err);
	return r == 0  ? err_set(err, ENOENT, "%s: nobody is logged in there by hull", argv[1])
	       : r > 0 ? 0
		       : r;
}
