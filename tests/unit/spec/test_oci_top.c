/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <errno.h>

static int read_text(const char *quoted, struct err *err)
{
	AUTO(auto_plan) struct plan plan = {0};
	AUTO_FREE char *text = strdup(quoted);

	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return kit_read(text, &plan, err);
}

#define REST "'root':{'path':'r'},'linux':{" SPACES "}"

TEST(the_least_document_is_a_plan_as_specified)
{
	PLAN(plan, NULL);

	EXPECT(plan.as_specified);
	EXPECT(plan.process.has_ids);
	EXPECT(plan.process.detached);
	EXPECT(!plan.process.user);
	EXPECT_STR(plan.root.path, "/b/rootfs");
	EXPECT(!plan.root.readonly);
	EXPECT(!plan.id);
	EXPECT(!plan.cgroup);
	EXPECT(!plan.hostname);
	EXPECT(!plan.rdt_closid);
	EXPECT_EQ(plan.mounts.n, 0);
	EXPECT_EQ(plan.hooks.n, 0);
	EXPECT_STR(kit_said, "");
}

TEST(a_document_without_a_process_is_a_plan_without_a_program)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(read_text("{'ociVersion':'1.0.0'," REST "}", &err), 0);
}

TEST(every_version_1_is_taken_and_no_other)
{
	static const char *const good[] = {"1.0.0", "1.0.2-dev", "1.3.0", "1.99.7+x", "1.2"};
	static const char *const bad[] = {"2.0.0", "0.9",  "1",    "1.", "1.x",
					  "1.2.",  "1.2x", "v1.2", ""};
	char text[300];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = ERR_INIT;
		(void)snprintf(text, sizeof(text), "{'ociVersion':'%s'," REST "}", good[i]);
		EXPECT_EQ(read_text(text, &err), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		(void)snprintf(text, sizeof(text), "{'ociVersion':'%s'," REST "}", bad[i]);
		EXPECT_EQ(read_text(text, &err), -EINVAL);
		EXPECT(strncmp(err.msg, "ociVersion: ", 12) == 0);
	}
}

TEST(a_document_of_another_shape_is_refused)
{
	static const struct {
		const char *text, *line;
	} bad[] = {
		{"[]", "config.json: must be an object"},
		{"'x'", "config.json: must be an object"},
		{"{}", "ociVersion: missing"},
		{"{'ociVersion':1}", "ociVersion: int where string belongs"},
		{"{'ociVersion':'1.0.0'}", "root: missing"},
		{"{'ociVersion':'1.0.0','root':null}", "root: missing"},
		{"{'ociVersion':'1.0.0','root':[]}", "root: array where object belongs"},
		{"{'ociVersion':'1.0.0','root':{}}", "root.path: missing"},
		{"{'ociVersion':'1.0.0','root':{'path':''}}", "root.path: empty"},
		{"{'ociVersion':'1.0.0','root':{'path':7}}", "root.path: int where string belongs"},
		{"{'ociVersion':'1.0.0','root':{'path':'a\\u0000b'}}",
		 "config.json: a string holds"},
		{"{'ociVersion':'1.0.0','ociVersion':'1.0.0'}",
		 "config.json: an object has the same"},
		{"{'ociVersion':'1.0.0','root':{'path':'r','readonly':1}}",
		 "root.readonly: int where boolean belongs"},
		{"{'ociVersion':'1.0.0','root':{'path':'r'}}",
		 "linux.namespaces: without a mount namespace"},
		{"{'ociVersion':'1.0.0','root':{'path':'r'},'process':7}",
		 "process: int where object belongs"},
		{"{'ociVersion':'1.0.0','root':{'path':'r'},'linux':'x'}",
		 "linux: string where object belongs"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		EXPECT(read_text(bad[i].text, &err) < 0);
		if (strncmp(err.msg, bad[i].line, strlen(bad[i].line)) != 0)
			FAIL("%s instead of %s", err.msg, bad[i].line);
	}
}

TEST(nesting_without_end_is_refused)
{
	struct err err = ERR_INIT;
	AUTO_FREE char *deep = malloc(200001);

	memset(deep, '[', 200000);
	deep[200000] = '\0';
	EXPECT(read_text(deep, &err) < 0);
	EXPECT(strstr(err.msg, "nested deeper"));
}

/* A megabyte in a place that is named in the message, and line ends in another. */
TEST(an_error_is_one_short_line)
{
	struct err err = ERR_INIT;
	AUTO_FREE char *text = malloc(600000);
	int n = sprintf(text, "{'ociVersion':'1.0.0\\n\\u001b[31m");

	memset(text + n, 'x', 500000);
	(void)strcpy(text + n + 500000, "'}");
	EXPECT(read_text(text, &err) < 0);
	EXPECT(strlen(err.msg) < 200);
	EXPECT(!strpbrk(err.msg, "\n\033"));
	EXPECT(strstr(err.msg, "?[31m"));
}

TEST(names_and_the_root_are_taken)
{
	AUTO(auto_plan) struct plan plan = {0};
	struct err err = ERR_INIT;
	const char *text = "{\"ociVersion\":\"1.2.0\",\"hostname\":\"h\",\"domainname\":\"d.e\","
			   "\"root\":{\"path\":\"/abs/root\",\"readonly\":true},"
			   "\"linux\":{\"namespaces\":[{\"type\":\"uts\"},{\"type\":\"mount\"}]}}";

	EXPECT_EQ(kit_read(text, &plan, &err), 0);
	EXPECT_STR(plan.hostname, "h");
	EXPECT_STR(plan.domainname, "d.e");
	EXPECT_STR(plan.root.path, "/abs/root");
	EXPECT(plan.root.readonly);
}

TEST(names_need_a_place_and_a_length)
{
	static const struct refusal bad[] = {
		{{"'hostname':7"}, "hostname: int where string belongs"},
		{{"'domainname':[]"}, "domainname: array where string belongs"},
		{{"'hostname':'0123456789012345678901234567890123456789012345678901234567890123x'"},
		 "hostname: longer than 64 bytes"},
		{{"'hostname':'h'", NULL, "'namespaces':[{'type':'mount'}]"},
		 "hostname: needs a uts namespace"},
		{{"'domainname':'h'", NULL, "'namespaces':[{'type':'mount'}]"},
		 "domainname: needs a uts namespace"},
	};

	EXPECT_REFUSED(bad);
}

TEST(annotations_are_kept)
{
	PLAN(plan, "'annotations':{'a.b/c':'x=y','empty':''}");

	EXPECT_EQ(plan.annotations.n, 2);
	EXPECT_STR(plan.annotations.v[0], "a.b/c=x=y");
	EXPECT_STR(plan.annotations.v[1], "empty=");
}

TEST(annotations_that_are_none_are_refused)
{
	static const struct refusal bad[] = {
		{{"'annotations':[]"}, "annotations: array where object belongs"},
		{{"'annotations':{'':'x'}"}, "annotations: a key is empty"},
		{{"'annotations':{'a':7}"}, "annotations.a: must be a string"},
		{{"'annotations':{'a=b':'x'}"}, "annotations.a=b: a key with '='"},
	};

	EXPECT_REFUSED(bad);
}

TEST(annotations_of_crun_are_carried_out)
{
	PLAN(plan,
	     "'annotations':{'run.oci.keep_original_groups':'1','run.oci.hooks.stdout':'/o',"
	     "'run.oci.hooks.stderr':'/e','run.oci.pidfd_receiver':'/p',"
	     "'run.oci.mount_context_type':'rootcontext','run.oci.handler':'krun',"
	     "'run.oci.timens_offset':'7 -5 6','run.oci.seccomp_bpf_data':'BgAAAAAA/38='}",
	     NULL, "'namespaces':[{'type':'mount'},{'type':'time'}],'seccomp':7");

	EXPECT(plan.process.keep_groups);
	EXPECT_STR(plan.hook_out, "/o");
	EXPECT_STR(plan.hook_err, "/e");
	EXPECT_STR(plan.pidfd_receiver, "/p");
	EXPECT_STR(plan.mount_context, "rootcontext");
	EXPECT(strstr(kit_said, "run.oci.handler"));
	EXPECT_EQ(plan.time_offsets.n, 1);
	EXPECT_EQ(ITEM(plan.time_offsets, plan_time_offset, 0)->seconds, -5);
	EXPECT_EQ(plan.process.seccomp.len, 8);
	EXPECT_EQ(((const unsigned char *)plan.process.seccomp.data)[7], 0x7f);
}

#define NOTIFY                                                                                     \
	SPACES ",'seccomp':{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['swapon'],"     \
	       "'action':'SCMP_ACT_NOTIFY'}]}"

TEST(a_receiver_is_the_listener_of_a_filter_without_one)
{
	PLAN(plan, "'annotations':{'run.oci.seccomp.receiver':'/r'}", NULL, NOTIFY);

	EXPECT_STR(plan.process.seccomp_listener, "/r");
}

TEST(annotations_of_crun_that_cannot_be_are_refused)
{
	static const struct refusal bad[] = {
		{{"'annotations':{'run.oci.mount_context_type':'x'}"},
		 "annotations.run.oci.mount_context_type: 'x' is not"},
		{{"'annotations':{'run.oci.hooks.stdout':'o'}"},
		 "annotations.run.oci.hooks.stdout: 'o' is not an absolute"},
		{{"'annotations':{'run.oci.hooks.stderr':''}"},
		 "annotations.run.oci.hooks.stderr: '' is not an absolute"},
		{{"'annotations':{'run.oci.pidfd_receiver':'../p'}"},
		 "annotations.run.oci.pidfd_receiver: '../p' is not an absolute"},
		{{"'annotations':{'run.oci.timens_offset':'7 1 1'}"},
		 "annotations.run.oci.timens_offset: needs a time namespace"},
		{{"'annotations':{'run.oci.timens_offset':'9 1 1'}"},
		 "annotations.run.oci.timens_offset: '9 1 1' is no"},
		{{"'annotations':{'run.oci.timens_offset':'boottime 1 1000000000'}"},
		 "annotations.run.oci.timens_offset: 'boottime 1 1000000000' is no"},
		{{"'annotations':{'run.oci.timens_offset':'monotonic 1'}"},
		 "annotations.run.oci.timens_offset: 'monotonic 1' is no"},
		{{"'annotations':{'run.oci.seccomp_bpf_data':'BgAA'}"},
		 "annotations.run.oci.seccomp_bpf_data: is no filter"},
		{{"'annotations':{'run.oci.seccomp_bpf_data':'BgAAAAAA/38'}"},
		 "annotations.run.oci.seccomp_bpf_data: is no filter"},
		{{"'annotations':{'run.oci.seccomp_bpf_data':'BgAA*AAA/38='}"},
		 "annotations.run.oci.seccomp_bpf_data: is no filter"},
		{{"'annotations':{'run.oci.seccomp.receiver':'r'}", NULL, NOTIFY},
		 "linux.seccomp.run.oci.seccomp.receiver: must be absolute"},
		{{"'annotations':{'run.oci.seccomp_fail_unknown_syscall':'1'}", NULL,
		  SPACES ",'seccomp':{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['x'],"
			 "'action':'SCMP_ACT_LOG'}]}"},
		 "linux.seccomp.syscalls[0].names: 'x' is no system call"},
	};

	EXPECT_REFUSED(bad);
}

TEST(hooks_are_taken_in_order_with_their_points)
{
	PLAN(plan, "'hooks':{'poststop':[{'path':'/f'}],'prestart':[{'path':'/a','args':['a','b'],"
		   "'env':['K=V'],'timeout':7},{'path':'/b'}],'createRuntime':[{'path':'/c'}],"
		   "'createContainer':[{'path':'/d'}],'startContainer':[{'path':'/e'}],"
		   "'poststart':[{'path':'/g'}]}");
	static const struct {
		const char *path;
		enum plan_hook_point point;
	} want[] = {{"/a", HOOK_PRESTART},        {"/b", HOOK_PRESTART},
		    {"/c", HOOK_CREATE_RUNTIME},  {"/d", HOOK_CREATE_CONTAINER},
		    {"/e", HOOK_START_CONTAINER}, {"/g", HOOK_POSTSTART},
		    {"/f", HOOK_POSTSTOP}};

	EXPECT_EQ(plan.hooks.n, 7);
	for (size_t i = 0; i < 7; i++) {
		EXPECT_STR(ITEM(plan.hooks, plan_hook, i)->path, want[i].path);
		EXPECT_EQ(ITEM(plan.hooks, plan_hook, i)->point, want[i].point);
	}
	EXPECT_EQ(ITEM(plan.hooks, plan_hook, 0)->args.n, 2);
	EXPECT_STR(ITEM(plan.hooks, plan_hook, 0)->env.v[0], "K=V");
	EXPECT_EQ(ITEM(plan.hooks, plan_hook, 0)->timeout_s, 7);
	EXPECT_EQ(ITEM(plan.hooks, plan_hook, 1)->timeout_s, 0);
}

TEST(hooks_that_cannot_be_run_are_refused)
{
	static const struct refusal bad[] = {
		{{"'hooks':[]"}, "hooks: array where object belongs"},
		{{"'hooks':{'prestart':{}}"}, "hooks.prestart: object where array belongs"},
		{{"'hooks':{'prestart':['x']}"}, "hooks.prestart[0]: must be an object"},
		{{"'hooks':{'createRuntime':[{}]}"}, "hooks.createRuntime[0].path: missing"},
		{{"'hooks':{'createContainer':[{'path':'a'}]}"},
		 "hooks.createContainer[0].path: must be absolute"},
		{{"'hooks':{'startContainer':[{'path':'/a','args':'x'}]}"},
		 "hooks.startContainer[0].args: string where array belongs"},
		{{"'hooks':{'poststart':[{'path':'/a'},{'path':'/a','env':[7]}]}"},
		 "hooks.poststart[1].env: element 0 is not a string"},
		{{"'hooks':{'poststop':[{'path':'/a','timeout':0}]}"},
		 "hooks.poststop[0].timeout: not between 1"},
		{{"'hooks':{'poststop':[{'path':'/a','timeout':'7'}]}"},
		 "hooks.poststop[0].timeout: string where int belongs"},
	};

	EXPECT_REFUSED(bad);
}

TEST(what_a_plan_holds_survives_being_written_and_read)
{
	PLAN(plan, "'annotations':{'a':'b'},'mounts':[{'destination':'/x','type':'tmpfs'}]",
	     PROCESS ",'rlimits':[{'type':'RLIMIT_CPU','soft':1,'hard':2}]",
	     SPACES ",'intelRdt':{}");
	AUTO(auto_plan) struct plan again = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(record_copy(&plan_record, &plan, &again, &err), 0);
	EXPECT_STR(again.annotations.v[0], "a=b");
	EXPECT_STR(again.rdt_closid, "");
	EXPECT_EQ(again.limits.devices.n, plan.limits.devices.n);
}
