/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <sys/mount.h>

#define M(text) "'mounts':[{" text "}]"

/* One option each, of a bind and of a file system: what it sets. */
struct effect {
	const char *word;
	uint64_t flags, lose, rec_set, rec_clear, propagation;
};

static const struct effect effects[] = {
	{"defaults", 0, 0, 0, 0, 0},
	{"ro", MS_RDONLY, 0, 0, 0, 0},
	{"rw", 0, MOUNT_ATTR_RDONLY, 0, 0, 0},
	{"nosuid", MS_NOSUID, 0, 0, 0, 0},
	{"suid", 0, MOUNT_ATTR_NOSUID, 0, 0, 0},
	{"nodev", MS_NODEV, 0, 0, 0, 0},
	{"dev", 0, MOUNT_ATTR_NODEV, 0, 0, 0},
	{"noexec", MS_NOEXEC, 0, 0, 0, 0},
	{"exec", 0, MOUNT_ATTR_NOEXEC, 0, 0, 0},
	{"nosymfollow", MS_NOSYMFOLLOW, 0, 0, 0, 0},
	{"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW, 0, 0, 0},
	{"nodiratime", MS_NODIRATIME, 0, 0, 0, 0},
	{"diratime", 0, MOUNT_ATTR_NODIRATIME, 0, 0, 0},
	{"noatime", MS_NOATIME, 0, 0, 0, 0},
	{"atime", 0, MOUNT_ATTR__ATIME, 0, 0, 0},
	{"relatime", MS_RELATIME, MOUNT_ATTR__ATIME, 0, 0, 0},
	{"norelatime", 0, 0, 0, 0, 0},
	{"strictatime", MS_STRICTATIME, 0, 0, 0, 0},
	{"nostrictatime", 0, MOUNT_ATTR__ATIME, 0, 0, 0},
	{"sync", MS_SYNCHRONOUS, 0, 0, 0, 0},
	{"async", 0, 0, 0, 0, 0},
	{"dirsync", MS_DIRSYNC, 0, 0, 0, 0},
	{"mand", MS_MANDLOCK, 0, 0, 0, 0},
	{"nomand", 0, 0, 0, 0, 0},
	{"silent", MS_SILENT, 0, 0, 0, 0},
	{"loud", 0, 0, 0, 0, 0},
	{"iversion", MS_I_VERSION, 0, 0, 0, 0},
	{"noiversion", 0, 0, 0, 0, 0},
	{"lazytime", MS_LAZYTIME, 0, 0, 0, 0},
	{"nolazytime", 0, 0, 0, 0, 0},
	{"acl", 1 << 16, 0, 0, 0, 0},
	{"noacl", 0, 0, 0, 0, 0},
	{"remount", MS_REMOUNT, 0, 0, 0, 0},
	{"rro", 0, 0, MOUNT_ATTR_RDONLY, 0, 0},
	{"rrw", 0, 0, 0, MOUNT_ATTR_RDONLY, 0},
	{"rnosuid", 0, 0, MOUNT_ATTR_NOSUID, 0, 0},
	{"rsuid", 0, 0, 0, MOUNT_ATTR_NOSUID, 0},
	{"rnodev", 0, 0, MOUNT_ATTR_NODEV, 0, 0},
	{"rdev", 0, 0, 0, MOUNT_ATTR_NODEV, 0},
	{"rnoexec", 0, 0, MOUNT_ATTR_NOEXEC, 0, 0},
	{"rexec", 0, 0, 0, MOUNT_ATTR_NOEXEC, 0},
	{"rnosymfollow", 0, 0, MOUNT_ATTR_NOSYMFOLLOW, 0, 0},
	{"rsymfollow", 0, 0, 0, MOUNT_ATTR_NOSYMFOLLOW, 0},
	{"rnodiratime", 0, 0, MOUNT_ATTR_NODIRATIME, 0, 0},
	{"rdiratime", 0, 0, 0, MOUNT_ATTR_NODIRATIME, 0},
	{"rnoatime", 0, 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0},
	{"ratime", 0, 0, 0, MOUNT_ATTR__ATIME, 0},
	{"rrelatime", 0, 0, 0, MOUNT_ATTR__ATIME, 0},
	{"rnorelatime", 0, 0, 0, MOUNT_ATTR__ATIME, 0},
	{"rstrictatime", 0, 0, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, 0},
	{"rnostrictatime", 0, 0, 0, MOUNT_ATTR__ATIME, 0},
	{"private", 0, 0, 0, 0, MS_PRIVATE},
	{"rprivate", 0, 0, 0, 0, MS_PRIVATE | MS_REC},
	{"shared", 0, 0, 0, 0, MS_SHARED},
	{"rshared", 0, 0, 0, 0, MS_SHARED | MS_REC},
	{"slave", 0, 0, 0, 0, MS_SLAVE},
	{"rslave", 0, 0, 0, 0, MS_SLAVE | MS_REC},
	{"unbindable", 0, 0, 0, 0, MS_UNBINDABLE},
	{"runbindable", 0, 0, 0, 0, MS_UNBINDABLE | MS_REC},
};

static bool has_effect(const struct effect *e, bool bind)
{
	AUTO(auto_plan) struct plan plan = {0};
	struct err err = ERR_INIT;
	char top[200];

	(void)snprintf(top, sizeof(top),
		       M("'destination':'/t','type':'tmpfs','source':'s','options':['%s'%s]"),
		       e->word, bind ? ",'bind'" : "");
	if (kit_plan((struct parts){top}, &plan, &err) < 0) {
		printf("# %s\n", err.msg);
		return false;
	}
	const struct plan_mount *m = plan.mounts.items;
	return m->flags == e->flags && m->attr_clear == (bind ? e->lose : 0) &&
	       m->rec_set == e->rec_set && m->rec_clear == e->rec_clear &&
	       m->propagation == e->propagation && !m->data &&
	       strcmp(m->type, bind ? "bind" : "tmpfs") == 0;
}

TEST(every_word_has_its_effect)
{
	for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++) {
		if (!has_effect(&effects[i], true) || !has_effect(&effects[i], false))
			FAIL("%s", effects[i].word);
	}
}

TEST(of_words_that_contradict_the_last_counts)
{
	PLAN(plan,
	     "'mounts':[{'destination':'/t','source':'/s','options':['rbind','ro','rw','noatime',"
	     "'strictatime','rro','rrw','rrw','rro','rslave','private','exec','noexec']}]");
	const struct plan_mount *m = plan.mounts.items;

	EXPECT_EQ(m->flags, MS_REC | MS_STRICTATIME | MS_NOEXEC);
	EXPECT_EQ(m->attr_clear, MOUNT_ATTR_RDONLY);
	EXPECT_EQ(m->rec_set, MOUNT_ATTR_RDONLY);
	EXPECT_EQ(m->rec_clear, 0);
	EXPECT_EQ(m->propagation, MS_PRIVATE);
}

TEST(binds_are_told_by_options_or_type_and_begin_in_the_bundle)
{
	PLAN(plan,
	     "'mounts':[{'destination':'/a','source':'/s','type':'none','options':['bind']},"
	     "{'destination':'/b','source':'rel/s','options':['rbind','copy-symlink',"
	     "'src-nofollow','dest-nofollow']},{'destination':'/c','source':'/s','type':'bind'}]");

	for (size_t i = 0; i < 3; i++)
		EXPECT_STR(ITEM(plan.mounts, plan_mount, i)->type, "bind");
	EXPECT_STR(ITEM(plan.mounts, plan_mount, 0)->source, "/s");
	EXPECT_STR(ITEM(plan.mounts, plan_mount, 1)->source, "/b/rel/s");
	EXPECT_EQ(ITEM(plan.mounts, plan_mount, 0)->flags, 0);
	EXPECT_EQ(ITEM(plan.mounts, plan_mount, 1)->flags, MS_REC);
	EXPECT(ITEM(plan.mounts, plan_mount, 1)->copy_symlink);
	EXPECT(ITEM(plan.mounts, plan_mount, 1)->source_nofollow);
	EXPECT(ITEM(plan.mounts, plan_mount, 1)->target_nofollow);
	EXPECT(!ITEM(plan.mounts, plan_mount, 0)->target_nofollow);
}

TEST(a_file_system_gets_what_it_alone_knows)
{
	PLAN(plan, "'mounts':[{'destination':'/t','source':'shm','type':'tmpfs',"
		   "'options':['nosuid','size=64k','','mode=1777','tmpcopyup']}]");
	const struct plan_mount *m = plan.mounts.items;

	EXPECT_STR(m->target, "/t");
	EXPECT_STR(m->source, "shm");
	EXPECT_STR(m->data, "size=64k,mode=1777");
	EXPECT_EQ(m->flags, MS_NOSUID);
	EXPECT(m->copy_up);
}

TEST(a_relative_destination_is_taken_below_the_root_with_a_word)
{
	PLAN(plan, M("'destination':'t/u','type':'tmpfs'"));

	EXPECT_STR(ITEM(plan.mounts, plan_mount, 0)->target, "/t/u");
	EXPECT(strstr(kit_said, "destination 't/u' is relative"));
}

TEST(mounts_are_mapped_by_their_own_maps_or_the_namespaces)
{
	PLAN(plan,
	     "'mounts':[{'destination':'/a','source':'/s','options':['bind','idmap']},"
	     "{'destination':'/b','source':'/s','options':['rbind','ridmap'],"
	     "'uidMappings':[{'containerID':0,'hostID':7,'size':3}],"
	     "'gidMappings':[{'containerID':1,'hostID':8,'size':4}]},"
	     "{'destination':'/c','source':'/s','options':['rbind'],"
	     "'uidMappings':[{'containerID':0,'hostID':7,'size':3}],"
	     "'gidMappings':[{'containerID':1,'hostID':8,'size':4}]}]",
	     NULL,
	     "'namespaces':[{'type':'mount'},{'type':'user'}],"
	     "'uidMappings':[{'containerID':0,'hostID':1000,'size':1}],"
	     "'gidMappings':[{'containerID':0,'hostID':1000,'size':1}]");
	const struct plan_mount *m = plan.mounts.items;

	EXPECT(m[0].idmap && !m[0].idmap_recursive && m[0].uid_maps.n == 0);
	EXPECT(m[1].idmap && m[1].idmap_recursive && m[1].uid_maps.n == 1);
	EXPECT_EQ(ITEM(m[1].uid_maps, plan_idmap, 0)->outside, 7);
	EXPECT_EQ(ITEM(m[1].gid_maps, plan_idmap, 0)->inside, 1);
	EXPECT_EQ(ITEM(m[1].gid_maps, plan_idmap, 0)->size, 4);
	EXPECT(m[2].idmap);
}

TEST(mounts_that_cannot_be_are_refused)
{
	static const struct refusal bad[] = {
		{{"'mounts':{}"}, "mounts: object where array belongs"},
		{{"'mounts':[7]"}, "mounts[0]: must be an object"},
		{{M("'type':'tmpfs'")}, "mounts[0].destination: missing"},
		{{M("'destination':''")}, "mounts[0].destination: missing"},
		{{M("'destination':7")}, "mounts[0].destination: int where string"},
		{{M("'destination':'/a'")}, "mounts[0].type: missing"},
		{{M("'destination':'/a','type':[]")}, "mounts[0].type: array where string"},
		{{M("'destination':'/a','type':'bind'")}, "mounts[0].source: missing"},
		{{M("'destination':'/a','source':{},'type':'bind'")},
		 "mounts[0].source: object where string"},
		{{M("'destination':'/a','type':'tmpfs','options':'ro'")},
		 "mounts[0].options: string where array"},
		{{M("'destination':'/a','type':'tmpfs','options':[7]")},
		 "mounts[0].options: element 0 is not a string"},
		{{M("'destination':'/a','source':'/s','options':['bind','size=4']")},
		 "mounts[0].options: 'size=4' is nothing that a bind knows"},
		{{M("'destination':'/a','source':'/s','options':['bind','tmpcopyup']")},
		 "mounts[0].options: tmpcopyup is for tmpfs"},
		{{M("'destination':'/a','type':'proc','options':['tmpcopyup']")},
		 "mounts[0].options: tmpcopyup is for tmpfs"},
		{{M("'destination':'/a','type':'proc','options':['copy-symlink']")},
		 "mounts[0].options: copy-symlink"},
		{{M("'destination':'/a','source':'/s','options':['bind','idmap']")},
		 "mounts[0].options: idmap needs mappings"},
		{{M("'destination':'/a','source':'/s','options':['bind'],"
		    "'uidMappings':[{'containerID':0,'hostID':0,'size':1}]")},
		 "mounts[0].gidMappings: missing beside the other"},
		{{M("'destination':'/a','source':'/s','options':['bind'],"
		    "'gidMappings':[{'containerID':0,'hostID':0,'size':1}]")},
		 "mounts[0].uidMappings: missing beside the other"},
		{{M("'destination':'/a','source':'/s','options':['bind'],"
		    "'uidMappings':[{'containerID':0,'hostID':0,'size':0}]")},
		 "mounts[0].uidMappings[0].size: must be at least 1"},
	};

	EXPECT_REFUSED(bad);
}
