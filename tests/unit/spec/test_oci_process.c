/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/resource.h>

#define BIT(n) (UINT64_C(1) << (n))

TEST(what_a_process_is_told_is_in_the_plan)
{
	PLAN(plan, NULL,
	     "'cwd':'/w','args':['a','b c',''],'env':['A=1','B=','C=x=y'],'terminal':true,"
	     "'consoleSize':{'height':24,'width':80},'noNewPrivileges':true,'oomScoreAdj':-500,"
	     "'apparmorProfile':'p','selinuxLabel':'l','user':{'uid':1000,'gid':100,'umask':18,"
	     "'additionalGids':[5,4294967294]}");
	const struct plan_process *p = &plan.process;

	EXPECT_STR(p->cwd, "/w");
	EXPECT_EQ(p->args.n, 3);
	EXPECT_STR(p->args.v[1], "b c");
	EXPECT_EQ(p->env.n, 3);
	EXPECT_STR(p->env.v[2], "C=x=y");
	EXPECT(p->tty);
	EXPECT_EQ(p->rows, 24);
	EXPECT_EQ(p->cols, 80);
	EXPECT(p->no_new_privs);
	EXPECT(p->has_oom_score_adj);
	EXPECT_EQ((int32_t)p->oom_score_adj, -500);
	EXPECT_STR(p->apparmor, "p");
	EXPECT_STR(p->selinux_label, "l");
	EXPECT_EQ(p->uid, 1000);
	EXPECT_EQ(p->gid, 100);
	EXPECT(p->has_umask);
	EXPECT_EQ(p->umask, 022);
	EXPECT_EQ(p->groups.n, 2);
	EXPECT_STR(p->groups.v[0], "5");
	EXPECT_STR(p->groups.v[1], "4294967294");
}

TEST(silence_leaves_a_process_as_it_is)
{
	PLAN(plan, NULL);
	const struct plan_process *p = &plan.process;

	EXPECT(!p->tty && !p->no_new_privs && !p->has_oom_score_adj && !p->has_umask);
	EXPECT(!p->apparmor && !p->selinux_label && !p->schedule.set && !p->schedule.has_ioprio);
	EXPECT(p->uid == 0 && p->gid == 0 && p->groups.n == 0 && p->rlimits.n == 0);
	EXPECT((p->cap_bounding | p->cap_effective | p->cap_permitted | p->cap_inheritable |
		p->cap_ambient) == 0);
	EXPECT_EQ(p->seccomp.len, 0);
}

TEST(of_equal_variables_the_last_wins)
{
	PLAN(plan, NULL, PROCESS ",'env':['PATH=/old','AB=1','A=2','PATH=/new','A=3','ABC=4']");
	const struct strv *env = &plan.process.env;

	EXPECT_EQ(env->n, 4);
	EXPECT_STR(env->v[0], "AB=1");
	EXPECT_STR(env->v[1], "PATH=/new");
	EXPECT_STR(env->v[2], "A=3");
	EXPECT_STR(env->v[3], "ABC=4");
}

TEST(capability_sets_are_exactly_as_asked)
{
	PLAN(plan, NULL,
	     PROCESS ",'capabilities':{'bounding':['CAP_CHOWN','CAP_KILL','CAP_NEW_ONE'],"
		     "'effective':['CAP_KILL'],'permitted':['CAP_KILL','CAP_SYS_ADMIN'],"
		     "'inheritable':['CAP_SYS_ADMIN','CAP_CHOWN'],"
		     "'ambient':['CAP_SYS_ADMIN','CAP_CHOWN']}");
	const struct plan_process *p = &plan.process;

	EXPECT_EQ(p->cap_bounding, BIT(CAP_CHOWN) | BIT(CAP_KILL));
	EXPECT_EQ(p->cap_effective, BIT(CAP_KILL));
	EXPECT_EQ(p->cap_permitted, BIT(CAP_KILL) | BIT(CAP_SYS_ADMIN));
	EXPECT_EQ(p->cap_inheritable, BIT(CAP_CHOWN) | BIT(CAP_SYS_ADMIN));
	EXPECT_EQ(p->cap_ambient, BIT(CAP_SYS_ADMIN));
	EXPECT(strstr(kit_said, "process.capabilities.bounding: 'CAP_NEW_ONE' is not known"));
}

TEST(rlimits_reach_infinity)
{
	PLAN(plan, NULL,
	     PROCESS ",'rlimits':[{'type':'RLIMIT_NOFILE','soft':5,'hard':18446744073709551615},"
		     "{'type':'RLIMIT_CORE','soft':0,'hard':0}]");
	const struct plan_rlimit *l = plan.process.rlimits.items;

	EXPECT_EQ(plan.process.rlimits.n, 2);
	EXPECT_EQ(l[0].resource, RLIMIT_NOFILE);
	EXPECT_EQ(l[0].soft, 5);
	EXPECT(l[0].hard == RLIM_INFINITY);
	EXPECT_EQ(l[1].resource, RLIMIT_CORE);
}

TEST(schedulers_have_their_own_numbers)
{
	PLAN(fifo, NULL,
	     PROCESS ",'scheduler':{'policy':'SCHED_FIFO','priority':7,"
		     "'flags':['SCHED_FLAG_RESET_ON_FORK','SCHED_FLAG_KEEP_POLICY']}");
	PLAN(batch, NULL, PROCESS ",'scheduler':{'policy':'SCHED_BATCH','nice':-5}");
	PLAN(deadline, NULL,
	     PROCESS
	     ",'scheduler':{'policy':'SCHED_DEADLINE','runtime':1,'deadline':2,'period':3}");

	EXPECT(fifo.process.schedule.set);
	EXPECT_EQ(fifo.process.schedule.policy, 1);
	EXPECT_EQ(fifo.process.schedule.priority, 7);
	EXPECT_EQ(fifo.process.schedule.flags, 9);
	EXPECT_EQ(batch.process.schedule.policy, 3);
	EXPECT_EQ(batch.process.schedule.nice, -5);
	EXPECT_EQ(deadline.process.schedule.policy, 6);
	EXPECT_EQ(deadline.process.schedule.runtime, 1);
	EXPECT_EQ(deadline.process.schedule.deadline, 2);
	EXPECT_EQ(deadline.process.schedule.period, 3);
}

TEST(io_priority_and_affinity_are_taken)
{
	PLAN(plan, NULL,
	     PROCESS ",'ioPriority':{'class':'IOPRIO_CLASS_BE','priority':3},"
		     "'execCPUAffinity':{'initial':'0-3,7','final':'0'}");

	EXPECT(plan.process.schedule.has_ioprio);
	EXPECT_EQ(plan.process.schedule.ioprio, 2 << 13 | 3);
	EXPECT_STR(plan.process.schedule.cpus_initial, "0-3,7");
	EXPECT_STR(plan.process.schedule.cpus_final, "0");
}

#define P(text)                                                                                    \
	{                                                                                          \
		NULL, PROCESS "," text                                                             \
	}

TEST(a_process_that_cannot_be_is_refused)
{
	static const struct refusal bad[] = {
		{{NULL, "'cwd':'/'"}, "process.args: missing"},
		{{NULL, "'cwd':'/','args':[]"}, "process.args: empty"},
		{{NULL, "'cwd':'/','args':['']"}, "process.args: empty"},
		{{NULL, "'cwd':'/','args':'a'"}, "process.args: string where array belongs"},
		{{NULL, "'cwd':'/','args':[7]"}, "process.args: element 0 is not a string"},
		{{NULL, "'args':['a']"}, "process.cwd: missing"},
		{{NULL, "'args':['a'],'cwd':''"}, "process.cwd: missing"},
		{{NULL, "'args':['a'],'cwd':'w'"}, "process.cwd: must be absolute"},
		{{NULL, "'args':['a'],'cwd':7"}, "process.cwd: int where string belongs"},
		{P("'env':{}"), "process.env: object where array belongs"},
		{P("'env':['A=1','B']"), "process.env[1]: is not NAME=VALUE"},
		{P("'env':['=1']"), "process.env[0]: is not NAME=VALUE"},
		{P("'env':[null]"), "process.env[0]: is not NAME=VALUE"},
		{P("'terminal':1"), "process.terminal: int where boolean belongs"},
		{P("'consoleSize':{'height':65536}"), "process.consoleSize.height: not between"},
		{P("'consoleSize':{'width':-1}"), "process.consoleSize.width: not between"},
		{P("'noNewPrivileges':'x'"), "process.noNewPrivileges: string where"},
		{P("'oomScoreAdj':1001"), "process.oomScoreAdj: not between -1000 and 1000"},
		{P("'oomScoreAdj':-1001"), "process.oomScoreAdj: not between"},
		{P("'apparmorProfile':7"), "process.apparmorProfile: int where string"},
		{P("'selinuxLabel':7"), "process.selinuxLabel: int where string"},
		{P("'user':[]"), "process.user: array where object"},
		{P("'user':{'uid':-1}"), "process.user.uid: not between"},
		{P("'user':{'uid':4294967295}"), "process.user.uid: not between"},
		{P("'user':{'gid':4294967296}"), "process.user.gid: not between"},
		{P("'user':{'umask':512}"), "process.user.umask: not between"},
		{P("'user':{'additionalGids':7}"), "process.user.additionalGids: int where array"},
		{P("'user':{'additionalGids':[1,'2']}"),
		 "process.user.additionalGids[1]: is no group id"},
		{P("'user':{'additionalGids':[4294967295]}"),
		 "process.user.additionalGids[0]: is no group id"},
		{P("'capabilities':[]"), "process.capabilities: array where object"},
		{P("'capabilities':{'bounding':'CAP_KILL'}"),
		 "process.capabilities.bounding: string where array"},
		{P("'capabilities':{'permitted':[1]}"),
		 "process.capabilities.permitted: element 0 is not"},
		{P("'capabilities':{'inheritable':{}}"),
		 "process.capabilities.inheritable: object where array"},
		{P("'capabilities':{'ambient':true}"),
		 "process.capabilities.ambient: boolean where array"},
		{P("'capabilities':{'effective':['CAP_KILL']}"),
		 "process.capabilities.effective: holds more than permitted"},
		{P("'rlimits':{}"), "process.rlimits: object where array"},
		{P("'rlimits':[{}]"), "process.rlimits[0].type: missing"},
		{P("'rlimits':[{'type':'RLIMIT_X','soft':1,'hard':1}]"),
		 "process.rlimits[0].type: 'RLIMIT_X' is not known"},
		{P("'rlimits':[{'type':'RLIMIT_CPU','hard':1}]"),
		 "process.rlimits[0].soft: missing"},
		{P("'rlimits':[{'type':'RLIMIT_CPU','soft':1}]"),
		 "process.rlimits[0].hard: missing"},
		{P("'rlimits':[{'type':'RLIMIT_CPU','soft':-1,'hard':1}]"),
		 "process.rlimits[0].soft: not between"},
		{P("'rlimits':[{'type':'RLIMIT_CPU','soft':2,'hard':1}]"),
		 "process.rlimits[0].soft: more than hard"},
		{P("'rlimits':[{'type':'RLIMIT_CPU','soft':1,'hard':1},"
		   "{'type':'RLIMIT_CPU','soft':1,'hard':1}]"),
		 "process.rlimits[1].type: given twice"},
	};

	EXPECT_REFUSED(bad);
}

TEST(a_schedule_that_the_kernel_would_refuse_is_refused_by_name)
{
	static const struct refusal bad[] = {
		{P("'scheduler':{}"), "process.scheduler.policy: missing"},
		{P("'scheduler':{'policy':'SCHED_ISO'}"), "process.scheduler.policy: 'SCHED_ISO'"},
		{P("'scheduler':{'policy':'SCHED_OTHER','nice':20}"),
		 "process.scheduler.nice: not between"},
		{P("'scheduler':{'policy':'SCHED_IDLE','nice':1}"),
		 "process.scheduler.nice: SCHED_O"},
		{P("'scheduler':{'policy':'SCHED_OTHER','priority':1}"),
		 "process.scheduler.priority: SCHED_FIFO's"},
		{P("'scheduler':{'policy':'SCHED_RR'}"), "process.scheduler.priority: must be"},
		{P("'scheduler':{'policy':'SCHED_RR','priority':100}"),
		 "process.scheduler.priority: not between"},
		{P("'scheduler':{'policy':'SCHED_OTHER','flags':['X']}"),
		 "process.scheduler.flags: 'X' is not known"},
		{P("'scheduler':{'policy':'SCHED_OTHER','runtime':1}"),
		 "process.scheduler.runtime, deadline and period"},
		{P("'scheduler':{'policy':'SCHED_DEADLINE'}"),
		 "process.scheduler.runtime: must be"},
		{P("'scheduler':{'policy':'SCHED_DEADLINE','runtime':3,'deadline':2}"),
		 "process.scheduler.runtime: must be"},
		{P("'scheduler':{'policy':'SCHED_DEADLINE','runtime':1,'deadline':3,'period':2}"),
		 "process.scheduler.deadline: more than period"},
		{P("'ioPriority':{}"), "process.ioPriority.class: missing"},
		{P("'ioPriority':{'class':'X'}"), "process.ioPriority.class: 'X' is not known"},
		{P("'ioPriority':{'class':'IOPRIO_CLASS_RT','priority':8}"),
		 "process.ioPriority.priority: not between"},
		{P("'execCPUAffinity':{'initial':'3-1'}"),
		 "process.execCPUAffinity.initial: '3-1'"},
		{P("'execCPUAffinity':{'initial':'0,'}"), "process.execCPUAffinity.initial: '0,'"},
		{P("'execCPUAffinity':{'final':'a'}"), "process.execCPUAffinity.final: 'a'"},
		{P("'execCPUAffinity':{'final':7}"), "process.execCPUAffinity.final: int where"},
	};

	EXPECT_REFUSED(bad);
}

TEST(a_process_alone_is_read_the_same)
{
	AUTO(auto_json) struct json_object *doc = NULL;
	struct plan_process process = {0};
	struct err err = ERR_INIT;
	const char *text = "{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":7}}";
	const char *bad = "{\"args\":[\"a\"],\"cwd\":\"x\"}";

	EXPECT_EQ(json_parse(text, strlen(text), 1000, "x", &doc, &err), 0);
	EXPECT_EQ(spec_process(doc, &kit_config, &process, &err), 0);
	EXPECT(process.has_ids && process.detached && process.uid == 7);
	record_done(&plan_process_record, &process);
	json_free(doc);
	doc = NULL;
	EXPECT_EQ(json_parse(bad, strlen(bad), 1000, "x", &doc, &err), 0);
	EXPECT_EQ(spec_process(doc, &kit_config, &process, &err), -EINVAL);
	EXPECT_STR(err.msg, "process.cwd: must be absolute");
	EXPECT(!process.cwd);
}
