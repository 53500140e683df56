/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <json-c/json.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/template.h"

static const char document[] =
	"{\"Name\":\"web\",\"State\":{\"Running\":true,\"Pid\":42,\"Error\":\"\"},\"Args\":[\"a\",\"b c\"],"
	"\"Ports\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]},\"None\":null,\"Empty\":[]}";

/* Renders into a static buffer; an error gives its message. */
static const char *render(const char *text)
{
	static char result[1024];
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	struct json_object *doc = json_tokener_parse(document);

	int r = template_render(text, doc, &out, &err);
	(void)snprintf(result, sizeof(result), "%s", r < 0 ? err.msg : out.data ? out.data : "");
	json_object_put(doc);
	return result;
}

TEST(fields_are_found_by_path)
{
	EXPECT_STR(render("{{.Name}} {{ .State.Pid }} {{.State.Running}}"), "web 42 true");
}

TEST(values_print_as_go_prints_them)
{
	EXPECT_STR(render("{{.Args}} {{.None}}"), "[a b c] <no value>");
	EXPECT_STR(render("{{.State}}"), "map[Running:true Pid:42 Error:]");
}

TEST(json_gives_back_the_value_as_it_is)
{
	EXPECT_STR(render("{{json .Args}}"), "[\"a\",\"b c\"]");
	EXPECT_STR(render("{{json .Ports}}"), "{\"80/tcp\":[{\"HostPort\":\"8080\"}]}");
	EXPECT_STR(render("{{.Name | json}}"), "\"web\"");
}

TEST(a_field_that_is_not_there_is_an_error_that_names_it)
{
	EXPECT_STR(render("{{.State.Nope}}"), "--format: there is no field '.State.Nope'");
	EXPECT_STR(render("{{.Name.Deeper}}"), "--format: there is no field '.Name.Deeper'");
}

TEST(index_reaches_into_lists_and_objects)
{
	EXPECT_STR(render("{{index .Args 1}}"), "b c");
	EXPECT_STR(render("{{index .Ports \"80/tcp\" 0 \"HostPort\"}}"), "8080");
	EXPECT_STR(render("{{index .Args 7}}"), "<no value>");
}

TEST(range_goes_over_members_and_has_an_else)
{
	EXPECT_STR(render("{{range .Args}}<{{.}}>{{end}}"), "<a><b c>");
	EXPECT_STR(render("{{range .Ports}}{{range .}}{{.HostPort}}{{end}}{{end}}"), "8080");
	EXPECT_STR(render("{{range .Empty}}x{{else}}none{{end}}"), "none");
}

TEST(if_takes_what_is_not_empty)
{
	EXPECT_STR(render("{{if .State.Running}}up{{else}}down{{end}}"), "up");
	EXPECT_STR(render("{{if .State.Error}}{{.Nope}}{{else}}fine{{end}}"), "fine");
}

TEST(helpers_work_on_their_operands)
{
	EXPECT_STR(render("{{len .Args}} {{upper .Name}} {{join .Args \",\"}}"), "2 WEB a,b c");
	EXPECT_STR(render("a\\tb{{\"\\n\"}}c"), "a\tb\nc");
}

TEST(broken_templates_are_refused)
{
	EXPECT_STR(render("{{.Name"), "--format: '{{' without '}}'");
	EXPECT_STR(render("{{if .Name}}x"), "--format: {{end}} is missing");
	EXPECT_STR(render("x{{end}}"), "--format: {{end}} or {{else}} without its beginning");
	EXPECT_STR(render("{{}}"), "--format: an action without a value");
	EXPECT_STR(render("{{nope .Name}}"), "--format: 'nope' is not understood");
}

TEST(depth_is_bounded)
{
	char text[40 * 16] = "";

	for (int i = 0; i < 40; i++)
		strncat(text, "{{if .Name}}", sizeof(text) - strlen(text) - 1);
	EXPECT_STR(render(text), "--format: nested too deeply");
}
