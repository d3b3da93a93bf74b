package main

type group struct {
	name       string
	data       string
	missingKey string
	stringMaps []string
	templates  []string
}

const container = `{
"Id":"3f4e5d6c7b8a90123f4e5d6c7b8a9012","Name":"/web","Path":"nginx","Args":["-g","daemon off;"],
"State":{"Status":"running","Running":true,"Paused":false,"Pid":4321,"ExitCode":0,"Error":""},
"Config":{"Env":["PATH=/usr/bin","A=b=c"],"Cmd":null,"Labels":{"com.example.app":"web","tier":"front"},"Tty":false,"Image":"nginx:1.25"},
"HostConfig":{"Memory":1073741824,"NanoCpus":1500000000,"Binds":["/a:/b:ro"],"CpuShares":0},
"Mounts":[{"Destination":"/data","RW":true,"Source":"/srv","Type":"bind"},{"Destination":"/x","RW":false,"Source":"vol","Type":"volume"}],
"NetworkSettings":{"Networks":{"zeta":{"IPAddress":"10.0.0.2","Aliases":null},"alpha":{"IPAddress":"10.1.0.2","Aliases":["web","w"]}},
"Ports":{"443/tcp":null,"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]}},
"SizeRw":null,"Ratio":0.5,"Big":18446744073709551615,"Neg":-7,"Empty":{},"None":[],"Mixed":[1,"a",null,2.5,true,[1],{"k":"v"}],
"Float":1500000000.0,"Small":1e-7,"Html":"<a href=\"x\">&'b'</a>","Uni":"größe 漢字","Ctl":"a\tb\n\u0001","Nested":{"a":{"b":{"c":"deep"}}}}`

var groups = []group{
	{data: container, templates: []string{
		// text, trimming, comments
		"", "plain text", "{{.Id}}", "a {{.Name}} b", "a {{- .Name -}} b", "a  \n{{- .Name}}\n b", "{{.Name -}}  \n\t x",
		"{{/* a comment */}}", "x {{- /* trimmed */ -}} y", "a{{/* x\ny */}}b", "{{\"{{\"}}", "}}", "{ {", "{{`}}`}}", "{{-3}}", "{{- 3 -}}", "{{ .Id\n}}",
		"{{ \"a\" -}}\n\n{{- \"b\" }}", "{{print 1 -}} x",
		// fields
		"{{.State.Status}}", "{{.State.Pid}}", "{{ .NetworkSettings.Networks.alpha.IPAddress }}", "{{$.Name}}", "{{$.State.Status}}", "{{(.State).Pid}}",
		"{{(index .Mounts 0).Source}}", "{{(index .Mounts 0).Missing}}", "{{.Missing}}", "{{.Missing.Deeper}}", "{{.SizeRw}}", "{{.SizeRw.X}}", "{{.Name.X}}", "{{.State.Pid.X}}", "{{.Mounts.X}}",
		"{{$x := .Name}}{{$x.Y}}", "{{(print 1).X}}", "{{.Nested.a.b.c}}", "{{.Nested.a.b}}", "{{.Nested.x.b.c}}", "{{ (.Nested.a).b.c }}", "{{ ((.Nested).a).b.c }}",
		// printing values
		"{{.}}", "{{.State}}", "{{.Args}}", "{{.Mounts}}", "{{.Empty}}", "{{.None}}", "{{.Mixed}}", "{{.Ratio}}", "{{.Big}}", "{{.Neg}}", "{{.Float}}", "{{.Small}}", "{{.HostConfig.Memory}}", "{{.NetworkSettings.Ports}}",
		"{{true}}", "{{false}}", "{{1}}", "{{1.5}}", "{{1e3}}", "{{1e6}}", "{{1e20}}", "{{1e21}}", "{{123456789.0}}", "{{0.0001}}", "{{0.00001}}", "{{100000.0}}", "{{1000000.0}}", "{{-0.0}}", "{{0x10}}", "{{0b101}}", "{{0o17}}", "{{017}}", "{{1_000}}", "{{'a'}}", "{{'\\n'}}", "{{'漢'}}", "{{'\\x41'}}", "{{'\\u6f22'}}", "{{+5}}", "{{0x1p4}}", "{{0x1.8p1}}", "{{.5}}", "{{5.}}",
		"{{\"a\\tb\\u00e9\\x41\\101\"}}", "{{`raw\\n`}}", "{{nil}}", "{{print nil}}", "{{.SizeRw | print}}", "{{.Missing | print}}", "{{.Missing | printf \"%v %d\" 1}}",
		// pipelines, variables
		"{{.Name | printf \"%s!\"}}", "{{.Name | len}}", "{{\"x\" | printf \"%s %s\" \"a\"}}", "{{$x := 1}}{{$x}}", "{{$x := 1}}{{$x = 2}}{{$x}}", "{{$x := 1 | print \"a\"}}{{$x}}", "{{with $x := .Name}}{{$x}} {{.}}{{end}}", "{{$}}x", "{{$x := .}}{{$x.Name}}", "{{$x:=1}}{{$x}}", "{{$a := 1}}{{$b := 2}}{{$a}}{{$b}}", "{{if true}}{{$x := 5}}{{$x}}{{end}}",
		"{{$v := \"init\"}}{{range .Args}}{{$v = .}}{{end}}{{$v}}", "{{$x := index .Args 0}}{{$x}}", "{{ print (print 1) (print 2) }}", "{{ (1) }}", "{{ (print \"a\") | printf \"%q\" }}",
		// if, with
		"{{if .Name}}yes{{end}}", "{{if .Missing}}yes{{else}}no{{end}}", "{{if .None}}a{{else if .Name}}b{{else}}c{{end}}", "{{if false}}a{{else if false}}b{{else if true}}c{{else}}d{{end}}", "{{if 0}}a{{else}}b{{end}}", "{{if 0.0}}a{{else}}b{{end}}", "{{if \"\"}}a{{else}}b{{end}}", "{{if .Empty}}a{{else}}b{{end}}", "{{if .State}}a{{else}}b{{end}}", "{{if .SizeRw}}a{{else}}b{{end}}", "{{if not .State.Paused}}up{{end}}", "{{if and .State.Running (not .State.Paused)}}up{{end}}", "{{if $x := .Name}}{{$x}}{{end}}", "{{if $x := 0}}a{{else}}{{$x}}{{end}}",
		"{{with .State}}{{.Status}}{{end}}", "{{with .Missing}}a{{else}}b{{.Name}}{{end}}", "{{with .State}}{{$.Name}}{{end}}", "{{with index .Mounts 1}}{{.Source}}{{end}}", "{{with .Nested.a}}{{with .b}}{{.c}}{{end}}{{end}}", "{{with $y := 3}}{{$y}}{{end}}",
		// range
		"{{range .Args}}[{{.}}]{{end}}", "{{range $i, $a := .Args}}{{$i}}={{$a}} {{end}}", "{{range $a := .Args}}{{$a}},{{end}}", "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}:{{$v.IPAddress}} {{end}}", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "{{range .None}}a{{else}}none{{end}}", "{{range .Missing}}a{{else}}none{{end}}", "{{range .SizeRw}}a{{else}}none{{end}}", "{{range .Empty}}a{{else}}none{{end}}", "{{range .Name}}x{{end}}", "{{range .Ratio}}x{{end}}", "{{range .State.Running}}x{{end}}",
		"{{range .Mounts}}{{.Type}} {{if .RW}}rw{{else}}ro{{end}};{{end}}", "{{range $i, $e := .Mixed}}{{$i}}={{$e}};{{end}}", "{{range .Mixed}}{{break}}{{end}}x", "{{range $i, $e := .Mixed}}{{if eq $i 2}}{{break}}{{end}}{{$e}}{{end}}", "{{range $i, $e := .Mixed}}{{if eq $i 2}}{{continue}}{{end}}{{$e}},{{end}}", "{{range .Args}}{{range $.Mounts}}{{if .RW}}{{continue}}{{end}}{{.Type}}{{end}};{{end}}", "{{range .Args}}{{with .}}{{break}}{{end}}{{end}}ok",
		"{{range $p, $conf := .NetworkSettings.Ports}}{{$p}} -> {{if $conf}}{{(index $conf 0).HostPort}}{{else}}none{{end}}\n{{end}}", "{{range $index, $value := .Config.Env}}{{println $index $value}}{{end}}", "{{range .Config.Env}}{{range split . \"=\"}}{{.}}|{{end}}{{end}}", "{{range $p := .NetworkSettings.Ports}}{{(index $p 0).HostPort}}{{end}}", "{{range .Mounts}}{{.Source.X}}{{end}}", "{{range .Args}}{{.X}}{{end}}", "{{range .Mixed}}{{.X}}{{end}}", "{{range $k, $v := .State}}{{$k}}={{$v}} {{end}}", "{{range $i, $e := .Args}}{{if $i}}, {{end}}{{$e}}{{end}}", "{{range .Args}}{{$}}{{break}}{{end}}", "{{range split \"a,b,c\" \",\"}}<{{.}}>{{end}}",
		// index, slice, len
		"{{index .Args 0}}", "{{index .Args 1 }}", "{{index .Args 2}}", "{{index .Args 3}}", "{{index .Args -1}}", "{{index .Args \"a\"}}", "{{index .Args 1.5}}", "{{index .Args nil}}", "{{index .State \"Status\"}}", "{{index .State \"Nope\"}}", "{{index .State 1}}", "{{index .State nil}}", "{{index .Config.Labels \"com.example.app\"}}", "{{index .Config.Labels \"nope\"}}", "{{index .NetworkSettings.Networks \"alpha\" \"Aliases\" 1}}", "{{index .Missing 1}}", "{{index .SizeRw 1}}", "{{index .State \"Nope\" 1}}", "{{index .Name 0}}", "{{index .Name 4}}", "{{index .Name 9}}", "{{index .Ratio 0}}", "{{index}}", "{{index .Args}}", "{{index nil 1}}", "{{index .Mixed 2}}", "{{print (index .Mixed 2)}}", "{{index .Mounts 0 \"Source\"}}", "{{(index .NetworkSettings.Ports \"80/tcp\" 0).HostPort}}", "{{.Args | index 1}}", "{{index .Args .Big}}",
		"{{slice .Id 0 12}}", "{{slice .Id 3}}", "{{slice .Id}}", "{{slice .Id 0 100}}", "{{slice .Id 5 2}}", "{{slice .Id 1 2 3}}", "{{slice .Args 1}}", "{{slice .Args 0 1}}", "{{slice .Args 2 1}}", "{{slice .Args 0 1 1}}", "{{slice .State 1}}", "{{slice .Missing 1}}", "{{slice .Pid}}", "{{slice .Id 1 2 3 4}}", "{{slice .Uni 0 3 | printf \"%q\"}}", "{{slice (split \"a,b,c\" \",\") 1 2}}", "{{slice .SizeRw}}", "{{slice .Id \"a\"}}",
		"{{len .Args}}", "{{len .Name}}", "{{len .Uni}}", "{{len .State}}", "{{len .Missing}}", "{{len .SizeRw}}", "{{len 3}}", "{{len .Ratio}}", "{{len nil}}", "{{len}}", "{{len 1 2}}", "{{len (split .Uni \" \")}}", "{{len .None}}",
		// boolean functions
		"{{and 1 2}}", "{{and 0 2}}", "{{or 0 2}}", "{{or 1 2}}", "{{or \"\" nil 0}}", "{{and .Missing .Missing.X}}", "{{or .Name (index .Args 9)}}", "{{and .Missing (index .Args 9)}}", "{{and}}", "{{or}}", "{{not 1}}", "{{not 0}}", "{{not .Missing}}", "{{not}}", "{{not 1 2}}", "{{1 | and 2}}", "{{0 | or 0 \"\"}}", "{{or .SizeRw \"default\"}}", "{{and true .SizeRw}}", "{{1 | and}}", "{{.Missing | or false}}",
		// comparison
		"{{eq 1 1}}", "{{eq 1 2 3 1}}", "{{eq 1 1.0}}", "{{eq \"a\" \"a\"}}", "{{eq \"a\" 1}}", "{{eq true true}}", "{{eq .Name \"/web\"}}", "{{eq .State.Pid 4321}}", "{{eq .Ratio 0.5}}", "{{eq .Missing 1}}", "{{eq .Missing nil}}", "{{eq nil nil}}", "{{eq .SizeRw nil}}", "{{eq 1 nil}}", "{{eq .Args .Args}}", "{{eq .State .State}}", "{{eq .State .Args}}", "{{eq .Args nil}}", "{{eq .Args .Missing}}", "{{eq 1}}", "{{eq}}", "{{eq .Args 1}}", "{{eq .Big 1}}", "{{eq .Big .Big}}", "{{eq 1 .Big}}", "{{eq .Neg -7}}", "{{eq 'a' 97}}", "{{eq .Mixed .Mixed}}", "{{eq .Mixed .Args}}", "{{eq 1 .Missing 1}}",
		"{{ne 1 2}}", "{{ne \"a\" \"a\"}}", "{{ne 1 \"a\"}}", "{{ne 1 2 3}}", "{{ne .Missing nil}}", "{{lt 1 2}}", "{{lt 2 1}}", "{{lt \"a\" \"b\"}}", "{{lt 1.5 2.5}}", "{{lt 1 1.5}}", "{{lt true false}}", "{{lt .Missing 1}}", "{{lt 1 .Missing}}", "{{lt .Args 1}}", "{{lt .Neg .Big}}", "{{lt .Big .Neg}}", "{{lt 1 \"a\"}}", "{{lt 1 2 3}}", "{{le 1 1}}", "{{le 2 1}}", "{{gt 2 1}}", "{{gt 1 1}}", "{{gt 1 \"a\"}}", "{{gt true true}}", "{{ge 1 1}}", "{{ge 1 2}}", "{{ge \"b\" \"a\"}}", "{{gt .HostConfig.Memory 1000}}", "{{if gt (len .Args) 1}}many{{end}}", "{{le \"a\" 1}}", "{{lt nil 1}}", "{{eq (index .Id 0) 51}}",
		// print
		"{{print 1 2 3}}", "{{print \"a\" \"b\"}}", "{{print 1 \"a\" 2 3}}", "{{print}}", "{{println}}", "{{println 1 \"a\" nil}}", "{{print true nil \"x\"}}", "{{print .Args .State.Pid}}", "{{println .Missing}}", "{{print nil nil}}", "{{print 1.0 2.5}}",
		// escapes
		"{{html .Html}}", "{{html .Missing}}", "{{html 1 2}}", "{{html .Args}}", "{{js .Html}}", "{{js \"a\\\\b\\x00\\u2028é=\"}}", "{{js .Ctl}}", "{{urlquery .Html}}", "{{urlquery \"a b+c~d-e_f.g/é\"}}", "{{html \"\\x00\"}}", "{{.Html | html | urlquery}}", "{{html nil}}", "{{html \"a\" 1 2 \"b\"}}",
		// docker's functions
		"{{json .Args}}", "{{json .Empty}}", "{{json .None}}", "{{json .Missing}}", "{{json .SizeRw}}", "{{json .Html}}", "{{json .Ctl}}", "{{json .Uni}}", "{{json .Ratio}}", "{{json .Float}}", "{{json .Small}}", "{{json .Big}}", "{{json 1e21}}", "{{json 1e20}}", "{{json 123456.789}}", "{{json -0.000001}}", "{{json 0.0000001}}", "{{json \"\\u2028\\x00\\x7f\"}}", "{{json \"\\xff\"}}", "{{json true}}", "{{json nil}}", "{{json}}", "{{json 1 2}}", "{{json (index .Mounts 0)}}", "{{.Args | json}}", "{{json (split \"a b\" \" \")}}", "{{json .Mixed}}", "{{json 'a'}}", "{{json 100.0}}", "{{json 1.5e-9}}",
		"{{join .Args \" \"}}", "{{join .Config.Env \",\"}}", "{{join (split \"a:b:c\" \":\") \"-\"}}", "{{join .Args}}", "{{join \"a\" \",\"}}", "{{join .Name \",\"}}", "{{join .Args 1}}", "{{join nil \",\"}}", "{{join .State \",\"}}", "{{split .Config.Image \":\"}}", "{{index (split .Config.Image \":\") 0}}", "{{split \"abc\" \"\"}}", "{{split \"\" \",\"}}", "{{len (split \"\" \",\")}}", "{{split .Name 1}}", "{{split .Missing \":\"}}", "{{split .SizeRw \":\"}}", "{{split .State.Pid \":\"}}", "{{split nil \":\"}}", "{{split true \":\"}}", "{{split \"größe\" \"\"}}",
		"{{title \"hello world-of go_lang it's\"}}", "{{title .Uni}}", "{{lower \"ÀBC\"}}", "{{upper \"straße é\"}}", "{{upper .Name}}", "{{upper 1}}", "{{upper .State.Pid}}", "{{upper .Missing}}", "{{lower}}", "{{upper .Config}}", "{{.Name | upper | lower | title}}", "[{{pad \"a\" 2 3}}]", "[{{pad \"\" 2 3}}]", "[{{pad .Name 1 1}}]", "{{pad \"a\" -1 0}}", "{{pad \"a\" 1}}", "{{pad \"a\" \"b\" 1}}", "{{pad \"a\" 1.0 0}}", "{{pad \"a\" 1.5 0}}", "{{pad \"a\" .State.Pid.X 1}}", "{{pad \"a\" true 1}}", "{{pad .Name .Name 1}}", "{{truncate .Id 8}}", "{{truncate .Id 100}}", "{{truncate \"é\" 1 | printf \"%q\"}}", "{{truncate .Id -1}}", "{{truncate .Id .Ratio}}", "{{truncate .Id nil}}", "{{8 | truncate .Id}}", "{{.Id | truncate 8}}",
		"{{call .Name}}", "{{call nil}}", "{{call}}", "{{call .Missing 1}}", "{{call .Args 1 2}}",
		// templates
		"{{define \"T\"}}<{{.}}>{{end}}{{template \"T\" .Name}}", "{{define \"T\"}}<{{.}}>{{end}}{{template \"T\"}}", "{{template \"T\" .}}{{define \"T\"}}x{{end}}", "{{block \"B\" .State}}{{.Status}}{{end}}", "{{block \"B\" .Name}}{{.}}{{end}}{{template \"B\" 1}}", "{{template \"nope\"}}", "{{template \"nope\" .Name}}", "{{define \"T\"}}{{.X}}{{end}}{{template \"T\" .Name}}", "{{define \"T\"}}a{{end}}{{define \"T\"}}b{{end}}", "{{define \"T\"}} {{end}}{{define \"T\"}}b{{end}}{{template \"T\"}}", "{{define \"T\"}}{{$}}{{end}}{{template \"T\" 5}}", "{{$x := 1}}{{define \"T\"}}{{$x}}{{end}}", "{{define \"A\"}}{{template \"B\" .}}{{end}}{{define \"B\"}}[{{.}}]{{end}}{{template \"A\" 3}}", "{{define \"r\"}}{{range $k, $v := .}}{{$k}}{{template \"r\" $v}}{{end}}{{end}}{{template \"r\" .Nested.a.b}}", "{{define \"n\"}}{{with .a}}a{{template \"n\" .}}{{end}}{{with .b}}b{{template \"n\" .}}{{end}}{{with .c}}{{.}}{{end}}{{end}}{{template \"n\" .Nested}}", "{{template `T`}}{{define `T`}}raw{{end}}", "{{range .Args}}{{block \"x\" .}}({{.}}){{end}}{{end}}",
		"text {{define \"a\"}}x{{end}} text", "{{define \"\"}}x{{end}}", "{{define \"\"}}x{{end}}y",
		// errors while evaluating
		"{{.Name 1}}", "{{.State.Status 1}}", "{{1 2}}", "{{\"a\" 1}}", "{{. 1}}", "{{$ 1}}", "{{(print 1) 2}}", "{{true 1}}", "{{1 | .Name}}", "{{1 | $}}", "{{printf}}", "{{printf 1}}", "{{printf .State.Pid}}", "{{printf nil}}", "{{printf .Missing}}", "{{$x = 1}}", "{{$x := 1}}{{if true}}{{$y := 2}}{{end}}{{$x}}", "{{9223372036854775808}}", "{{print 9223372036854775808}}", "{{18446744073709551616}}", "\n\n  {{.Name.X}}", "a\nbc{{  .Name.X  }}", "{{if .Name.X}}{{end}}", "{{range .Name.X}}{{end}}", "{{with $x := .Name.X}}{{end}}", "{{template \"T\" .Name.X}}{{define \"T\"}}{{end}}", "{{printf \"%s\" .Name.X}}", "{{printf \"%s\" (index .Args 7)}}", "{{(index .Args 7).X}}", "{{.State.Status.Deep.Deeper}}", "{{print .Name | index .Args}}", "{{nil | print}}", "{{range $i, $e := .Args}}{{$e.X}}{{end}}", "{{if true}}{{else}}{{$z := 1}}{{end}}", "{{if true}}{{$z := 1}}{{else}}{{$z}}{{end}}", "{{if false}}{{$z := 1}}{{else}}{{$z}}{{end}}", "{{$x := $x}}", "{{not nil.X}}", "{{print .Name.X.Y}}", "{{print print}}", "{{print len}}", "{{len.X}}", "{{print.X}}",
	}},
	{name: "tpl", templates: []string{
		// errors while parsing
		"{{", "{{.", "{{.Name", "{{.Name}", "{{.Name }", "{{}}", "{{ }}", "{{if}}{{end}}", "{{if .}}", "{{if .}}{{else}}", "{{range}}{{end}}", "{{with}}{{end}}", "{{end}}", "{{else}}", "{{else if}}", "{{if .}}{{else}}{{else}}{{end}}", "{{if .}}{{end}}{{end}}", "{{else}}{{end}}", "{{foo}}", "{{foo .}}", "{{. | foo}}", "{{.A|}}", "{{|.A}}", "{{.A||.B}}", "{{.A}}}", "{{{.A}}}", "{{{", "{{.A}}{{", "{{)}}", "{{(}}", "{{(.A}}", "{{(.A))}}", "{{()}}", "{{(.A).B.}}", "{{.A.}}", "{{..A}}", "{{.A..B}}", "{{\"abc}}", "{{\"abc\n\"}}", "{{`abc}}", "{{'a}}", "{{'ab'}}", "{{''}}", "{{'\\q'}}", "{{\"\\q\"}}", "{{\"\\u12\"}}", "{{/* a", "{{/* a */", "{{/* a */ }}", "{{/* a */x}}", "{{3k}}", "{{1a}}", "{{0x}}", "{{089}}", "{{1.2.3}}", "{{1__0}}", "{{99999999999999999999}}", "{{@}}", "{{.A@}}", "{{a@b}}", "{{.A!}}", "{{.A ! .B}}", "{{#}}", "{{;}}", "{{.A,.B}}", "{{,}}", "{{é@}}", "{{\u0001}}", "{{\u200b}}", "{{.a-b}}", "{{.com.x-y}}", "{{.A=1}}", "{{= 1}}", "{{:= 1}}", "{{:}}", "{{$x}}", "{{$x.A}}", "{{$x := }}", "{{$x = }}", "{{$x, $y := 1}}", "{{range $x, $y, $z := .}}{{end}}", "{{range $x, 1}}{{end}}", "{{range $x, $y}}{{end}}", "{{range $x := .}}{{$y}}{{end}}", "{{if $x := 1}}{{end}}{{$x}}", "{{$1 := 2}}{{$1}}", "{{$x := 1 2}}", "{{$x 1}}", "{{1 | 2}}", "{{1 | \"a\"}}", "{{1 | .}}", "{{1 | nil}}", "{{print 1 | true}}", "{{1.A}}", "{{\"a\".B}}", "{{true.A}}", "{{nil.A}}", "{{..}}", "{{. .A}}", "{{break}}", "{{continue}}", "{{range .}}{{break 1}}{{end}}", "{{range .}}{{continue .}}{{end}}", "{{range .}}{{else}}{{break}}{{end}}", "{{range .}}{{define \"x\"}}{{end}}{{end}}", "{{define}}{{end}}", "{{define x}}{{end}}", "{{define \"x\"}}", "{{define \"x\" 1}}{{end}}", "{{define \"x\"}}{{else}}{{end}}", "{{define \"x\"}}{{define \"y\"}}{{end}}{{end}}", "{{template}}", "{{template x}}", "{{template .}}", "{{template 1}}", "{{template \"x\" 1 2}}", "{{template \"x\" | 1}}", "{{template \"x}}", "{{template \"\\q\"}}", "{{block}}{{end}}", "{{block \"x\"}}{{end}}", "{{block \"x\" .}}", "{{block \"x\" .}}{{else}}{{end}}", "{{range .}}{{block \"x\" .}}{{break}}{{end}}{{end}}", "{{if .}}{{define \"x\"}}{{end}}{{end}}", "{{.A\n.B", "\n\n{{.A", "\n{{.A\n\n", "a\nb\n{{foo}}", "{{ .A\n\n | foo }}", "{{\n\"abc\n}}", "{{ print\n`a\n", "{{if\n.A\n", "{{end 1}}", "{{else 1}}", "{{if .}}{{else 1}}{{end}}", "{{if .}}{{end 1}}", "{{if . | }}{{end}}", "{{if .}}{{else if}}{{end}}{{end}}", "{{if .}}{{else if .}}{{else}}{{else}}{{end}}", "{{with .}}{{else if .}}{{end}}", "{{range .}}{{else if .}}{{end}}", "{{range . .}}{{end}}", "{{if := 1}}{{end}}", "{{(print 1)(print 2)}}", "{{print(1)}}", "{{print (1)}}", "{{print(1) 2}}", "{{print \"a\"\"b\"}}", "{{print 1,2}}", "{{.A.B.C(.D)}}", "{{verylongfunctionname}}", "{{.A \"averylongstringhere\" @}}", "{{.averylongfieldname = 1}}", "{{if .}}{{verylongfunctionname . }}{{end}}", "{{-}}", "{{- }}", "{{ -}}", "{{--}}", "{{- -}}", "{{-.A}}", "{{+}}", "{{.A -}", "{{(.A -}}", "{{if . -}} x", "{{1+2}}", "{{.A+1}}", "{{range $i . }}{{end}}", "{{range $i, . }}{{end}}", "{{$x := 1}}{{$x := 2}}", "{{$ := 1}}", "{{with $x := 1}}{{else}}{{$x}}{{end}}", "{{. = 1}}", "{{\"a\" := 1}}", "{{x := 1}}", "{{print ( | 1)}}", "{{((1)}}", "{{(((1)))}}", "{{(1).A.B}}", "{{`a`.B}}", "{{'a'.B}}", "{{end", "{{define \"x\"}}{{.Y}}", "{{define \"x\n", "{{define \"a\"}}\n{{foo}}{{end}}", "{{block \"b\" .}}\n{{foo}}{{end}}", "{{if .}}\n{{if .\n", "{{block \"b\" .}}\n{{else}}", "{{define \"b\"}}\n{{else}}", "{{-3k-1}}", "{{1+2}}", "{{1-x}}", "{{else if 1}}", "{{nil}}", "{{nil 1}}", "{{print nil | nil}}",
	}},
	{data: container, missingKey: "error", templates: []string{
		"{{.Foo}}", "{{.State.Foo}}", "{{.State.Foo.Bar}}", "{{.SizeRw.X}}", "{{.Config.Labels.nope}}", "{{index .State \"nope\"}}", "{{if .Foo}}{{end}}", "{{with .State}}{{.Foo}}{{end}}", "{{.Name}}", "{{(index .State \"nope\").X}}", "{{$x := index .State \"nope\"}}{{$x.Y}}", "x{{.NetworkSettings.IPAddress}}", "\n{{.A}}", "{{json .Foo}}", "{{(.Foo).Bar}}", "{{.Foo | json}}", "{{range .Foo}}{{end}}", "{{and .State.Running .Foo}}", "{{or .State.Running .Foo}}", "{{printf \"%s\" .Foo}}", "{{.SizeRw}}",
	}},
	{data: container, missingKey: "zero", templates: []string{
		"{{.Foo}}", "{{.Foo.Bar}}", "{{print .Foo}}", "{{if .Foo}}a{{else}}b{{end}}", "{{.Config.Labels.nope}}",
	}},
	{data: container, stringMaps: []string{"Labels"}, templates: []string{
		"{{index .Config.Labels \"nope\"}}", "{{.Config.Labels.nope}}", "{{.Config.Labels.tier}}", "{{.Config.Labels}}", "{{json .Config.Labels}}", "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}},{{end}}", "{{printf \"%#v\" .Config.Labels}}", "{{printf \"%T\" .Config.Labels}}", "{{with index .Config.Labels \"nope\"}}a{{else}}b{{end}}", "{{.Config.Labels.tier.X}}", "{{index .Config.Labels \"nope\" | printf \"%q\"}}", "{{upper (index .Config.Labels \"nope\")}}", "{{index .Config.Labels 1}}", "{{len .Config.Labels}}", "{{eq .Config.Labels .Config.Labels}}",
	}},
	{data: `[{"a":1},{"a":2}]`, templates: []string{"{{range .}}{{.a}}{{end}}", "{{len .}}", "{{.a}}", "{{index . 0}}", "{{json .}}", "{{(index . 1).a}}", "{{.}}", "{{$}}"}},
	{data: `null`, templates: []string{"{{.}}", "{{.a}}", "{{if .}}a{{else}}b{{end}}", "{{json .}}", "{{print .}}", "{{range .}}a{{else}}b{{end}}"}},
	{data: `"text"`, templates: []string{"{{.}}", "{{.a}}", "{{len .}}", "{{printf \"%q\" .}}", "{{. | upper}}"}},
	{data: `{"s":"héllo","i":42,"n":-42,"z":0,"f":3.14159,"g":-1234567.891,"b":true,"l":[1,2,-3],"t":["a","b"],"m":{"k":"v","n":1},"u":18446744073709551615,"x":null,"e":"","q":"a\"b\\c\n\u200b\u0007","h":"😀","tiny":5e-324,"huge":1.7976931348623157e308,"half":2.5,"third":0.3333333333333333,"mix":[1,"a",null,true,1.5]}`, templates: formats()},
	{templates: []string{"{{define \"r\"}}{{template \"r\"}}{{end}}ok"}},
}

// formats applies every verb with many flags to every kind of value.
func formats() []string {
	var out []string
	for _, format := range []string{
		"%v", "%d", "%s", "%q", "%x", "%X", "%o", "%b", "%c", "%t", "%f", "%e", "%g", "%T", "%5v|", "%-5v|", "%05v|", "%+v", "%#v", "%8.3v|", "%U",
	} {
		for _, value := range []string{".s", ".i", ".n", ".f", ".b", ".l", ".t", ".m", ".x", ".u", ".mix"} {
			out = append(out, "{{printf \""+format+"\" "+value+"}}")
		}
	}
	for _, format := range []string{
		"%5d|", "%-5d|", "%05d|", "%+d", "% d", "%+05d|", "%.5d", "%8.5d|", "%-8.5d|", "%08.5d|", "%.0d|", "%3.0d|", "%#x", "%#X", "%#o", "%#b", "%O", "%#O", "%#010x", "%x", "%08b", "%c|", "%q", "%+q", "%#q", "%U", "%#U", "%#.6U", "%8U|", "%e", "%F", "%p", "%w", "%z", "%!", "% x", "%#08o", "%+x",
	} {
		for _, value := range []string{".i", ".n", ".z", ".u"} {
			out = append(out, "{{printf \""+format+"\" "+value+"}}")
		}
	}
	for _, format := range []string{
		"%f", "%.2f", "%.0f", "%8.2f|", "%-10.2f|", "%010.2f|", "%+.3f", "% f", "%+010.1f|", "%e", "%E", "%.2e", "%.0e", "%12.3e|", "%g", "%G", "%.3g", "%.10g", "%.0g", "%8g|", "%#g", "%#.3g", "%#f", "%#.0f", "%#e", "%#.0e", "%x", "%X", "%.3x", "%.0x", "%+x", "%#x", "%b", "%F", "%v", "%6.2v|", "%d", "%#v", "% .2f", "%.25f", "%020g|", "%-020g|",
	} {
		for _, value := range []string{".f", ".g", ".tiny", ".huge", ".half", ".third", "0.0", "-0.0", "1e6", "1e-5", "100.0", "123456.0"} {
			out = append(out, "{{printf \""+format+"\" "+value+"}}")
		}
	}
	for _, format := range []string{
		"%s", "%10s|", "%-10s|", "%010s|", "%.2s|", "%8.2s|", "%q", "%+q", "%#q", "%10q|", "%.2q", "%x", "%X", "% x", "%#x", "% #x", "%.2x", "%12x|", "%-12x|", "% #X", "%d", "%t", "%v", "%#v", "%c", "%T", "%12T|", "%U",
	} {
		for _, value := range []string{".s", ".e", ".q", ".h", ".t", ".m"} {
			out = append(out, "{{printf \""+format+"\" "+value+"}}")
		}
	}
	return append(out,
		"{{printf \"%d\"}}", "{{printf \"%d %d\" 1}}", "{{printf \"%d\" 1 2}}", "{{printf \"x\" 1 \"a\" nil}}", "{{printf \"%\"}}", "{{printf \"%5\"}}", "{{printf \"%%\"}}", "{{printf \"%5%|\"}}", "{{printf \"100%\" 1}}", "{{printf \"%d%%\" 50}}", "{{printf \"%!\"}}", "{{printf \"%é\" 1}}", "{{printf \"%*d|\" 5 1}}", "{{printf \"%-*d|\" 5 1}}", "{{printf \"%*d|\" -5 1}}", "{{printf \"%.*f|\" 2 .f}}", "{{printf \"%*.*f|\" 8 2 .f}}", "{{printf \"%*d|\" \"a\" 1}}", "{{printf \"%.*f|\" \"a\" 1.5}}", "{{printf \"%.*f|\" -1 1.5}}", "{{printf \"%*d\"}}", "{{printf \"%[2]d %[1]d\" 1 2}}", "{{printf \"%[2]*[1]d|\" 1 5}}", "{{printf \"%[3]d\" 1 2}}", "{{printf \"%[x]d\" 1}}", "{{printf \"%[1\" 1}}", "{{printf \"%[1]d %d %d\" 1 2}}", "{{printf \"%[1]5d\" 1}}", "{{printf \"%[1].2f\" 1.5}}", "{{printf \"%[0]d\" 1}}", "{{printf \"%.[2]*[1]f\" 1.234 2}}", "{{printf \"%[]d\" 1}}", "{{printf \"%v %v\" .x nil}}", "{{printf \"%s %d\" \"a\" .i | printf \"<%s>\"}}", "{{printf \"%v\" (index .m \"nope\")}}", "{{printf \"%s\" .missing}}", "{{printf \"%-8s%5d\\n\" .s .i}}", "{{printf \"%99999999d\" 1}}", "{{printf \"%.99999999d\" 1}}", "{{printf \"%.d|\" 0}}", "{{printf \"%.\" 1}}", "{{printf \"%5.d|\" 3}}", "{{printf \"%+.2e\" 12345.678}}", "{{printf \"%6.2f%%\" 12.345}}", "{{printf \"%c%c\" 0x1F600 'x'}}", "{{printf \"%c\" -1}}", "{{printf \"%q\" 0x110000}}", "{{printf \"%v\" 'a'}}", "{{printf \"%T %T %T %T\" 1 1.5 \"a\" true}}", "{{printf \"%T\" nil}}", "{{printf \"%T\" (index .s 0)}}", "{{printf \"%c\" (index .s 0)}}", "{{printf \"%#v\" (index .s 0)}}", "{{printf \"%T\" (split \"a\" \",\")}}", "{{printf \"%#v\" (split \"a,b\" \",\")}}", "{{printf \"%x\" (slice .s 0 2)}}", "{{slice .s 0 2 | len}}", "{{printf \"% d|%+d\" .l .l}}", "{{printf \"%4d\" .l}}", "{{printf \"%-4d|\" .l}}", "{{printf \"%6.2f\" .l}}", "{{printf \"%q\" .mix}}", "{{printf \"%x\" .mix}}", "{{printf \"%5t|\" .b}}", "{{printf \"%-7t|\" .b}}", "{{printf \"%07t|\" .b}}", "{{printf \"%10v|\" nil}}", "{{printf \"%d\" nil}}", "{{printf \"%5d\" \"x\"}}", "{{printf \"%+d\" \"x\"}}", "{{printf \"%+s\" 5}}", "{{printf \"%#d\" 5}}", "{{printf \"%#s\" \"a\"}}", "{{printf \"% s\" \"a\"}}", "{{printf \"%s|%[1]q\" \"a\"}}", "{{printf \"%s\" .t}}", "{{printf \"%v %s\" .l .l}}", "{{printf \"%6v|%-6v|\" .t .t}}", "{{printf \"%06d|%-06d|\" .n .n}}", "{{printf \"%x %X\" \"hi\" \"hi\"}}", "{{printf \"%t %t\" true false}}", "{{printf \"%s\"  \"%d\"}}", "{{printf \"%3c|%-3c|\" 'a' 'b'}}", "{{printf \"%03c|\" 'a'}}", "{{printf \"%+q %#q\" \"é`\" \"a`b\"}}", "{{printf \"%+q\" '漢'}}", "{{printf \"\\xff%s\" \"a\" | printf \"%q\"}}",
	)
}

var alignments = []string{
	"", "\n", "a\n", "a\tb\n", "a\tb\nccc\td\n", "ID\tNAME\tSTATUS\nabc\tlong-name-of-a-container\tup\nd\te\tf\n",
	"a\tb\tc\nd\te\nf\tg\th\n", "a\t\tc\nd\te\tf\n", "\ta\n\tb\n", "a\t\nb\t\n", "no tabs here\na\tb\nno tabs\nlonglonglonglong\tb\n",
	"a\tb", "aaaaaaaaaa\tb\nc\td\n", "aaaaaaa\tb\n", "aaaaaaaa\tb\n", "a\tbbbbbbbbbbbbbbbb\tc\nd\n\ne\tf\tg\n", "é\tb\nab\tc\n", "a\t\t\tb\nc\td\n", "\t\t\n", "a\tb\n\nc\td\n",
	"x\t1\t2\t3\ny\t1\nz\t1\t2\nlonger-than-ten\t1\t2\t3\n", "<a>\t&amp;\tb\n", "aa\tb\n\t\t", "aaa\t", "\t", "\n\n", "a\tb\n\tc\t",
}
