/* SPDX-License-Identifier: Apache-2.0 */
#include "image/pass.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

enum { PASS_MAX = 512 };

void auto_secret(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
}

static ssize_t read_line(int tty, char line[PASS_MAX])
{
	size_t n = 0;

	while (n < PASS_MAX - 1) {
		ssize_t r = read(tty, line + n, 1);
		if (r <= 0 || line[n] == '\n')
			break;
		n++;
	}
	line[n] = '\0';
	return (ssize_t)n;
}

/* What is typed, without an echo. */
static int ask(int tty, const char *prompt, char **ret, struct err *err)
{
	struct termios old, quiet;
	char line[PASS_MAX];

	if (tcgetattr(tty, &old) < 0)
		return err_sys(err, "ask for the passphrase");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(tty, TCSAFLUSH, &quiet);
	(void)!write(tty, prompt, strlen(prompt));
	ssize_t n = read_line(tty, line);
	(void)tcsetattr(tty, TCSAFLUSH, &old);
	(void)!write(tty, "\n", 1);
	*ret = n > 0 ? strdup(line) : NULL;
	explicit_bzero(line, sizeof(line));
	if (n > 0 && !*ret)
		return err_set(err, ENOMEM, "out of memory");
	return n > 0 ? 0 : err_set(err, EACCES, "no passphrase was given");
}

int pass_read(const char *prompt, bool twice, char **ret, struct err *err)
{
	AUTO(auto_secret) char *first = NULL;
	AUTO(auto_secret) char *again = NULL;
	const char *env = getenv("COSIGN_PASSWORD");

	if (env) {
		*ret = strdup(env);
		return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
	}
	AUTO_CLOSE int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty < 0)
		return err_set(err, EACCES,
			       "there is no terminal to ask for the passphrase (COSIGN_PASSWORD)");
	int r = ask(tty, prompt, &first, err);
	if (r == 0 && twice)
		r = ask(tty, "Once more: ", &again, err);
	if (r < 0)
		return r;
	if (again && strcmp(first, again) != 0)
		return err_set(err, EINVAL, "the passphrases differ");
	*ret = TAKE_PTR(first);
	return 0;
}
