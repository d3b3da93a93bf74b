// Writes what Go's own text/template prints for the cases of cases.go to golden.json:
//
//	go run gen.go cases.go > golden.json
//
// Data are JSON. Numbers without a fraction become int (uint64 if they must), lists of strings
// become []string, and the fields named in string_maps become map[string]string: the types
// docker's structs have, and gotmpl gives to JSON.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"text/template"
)

// A Group is templates for the same data.
type Group struct {
	Name       string          `json:"name"`
	Data       json.RawMessage `json:"data"`
	MissingKey string          `json:"missing_key,omitempty"`
	StringMaps []string        `json:"string_maps,omitempty"`
	Cases      []Case          `json:"cases,omitempty"`
}

// A Case is one template with what Go made of it.
type Case struct {
	Template string  `json:"template"`
	Expected *string `json:"expected,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// An Alignment is text before and after text/tabwriter.
type Alignment struct {
	Text     string `json:"text"`
	Expected string `json:"expected"`
}

// docker's functions.
var functions = template.FuncMap{
	"json": func(value any) (string, error) {
		var out strings.Builder
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(value)
		return strings.TrimSuffix(out.String(), "\n"), err
	},
	"split": strings.Split,
	"join":  strings.Join,
	"title": strings.Title,
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"pad": func(text string, before, after int) string {
		if len(text) > 0 {
			text = strings.Repeat(" ", before) + text + strings.Repeat(" ", after)
		}
		return text
	},
	"truncate": func(text string, length int) string {
		if length > len(text) {
			length = len(text)
		}
		return text[:length]
	},
}

func typed(value any, field string, stringMaps []string) any {
	switch value := value.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(value.String(), 10, 64); err == nil {
			return int(i)
		}
		if u, err := strconv.ParseUint(value.String(), 10, 64); err == nil {
			return u
		}
		f, err := value.Float64()
		check(err)
		return f
	case []any:
		var texts []string
		for i, element := range value {
			value[i] = typed(element, "", stringMaps)
			if text, ok := element.(string); ok {
				texts = append(texts, text)
			}
		}
		if len(value) > 0 && len(texts) == len(value) {
			return texts
		}
	case map[string]any:
		for key, element := range value {
			value[key] = typed(element, key, stringMaps)
		}
		for _, name := range stringMaps {
			if name == field {
				texts := map[string]string{}
				for key, element := range value {
					texts[key] = element.(string)
				}
				return texts
			}
		}
	}
	return value
}

func (c *Case) run(g Group) {
	var out bytes.Buffer
	err := func() error {
		t, err := template.New(g.Name).Funcs(functions).Parse(c.Template)
		if err != nil {
			return err
		}
		if g.MissingKey != "" {
			t.Option("missingkey=" + g.MissingKey)
		}
		decoder := json.NewDecoder(bytes.NewReader(g.Data))
		decoder.UseNumber()
		var data any
		check(decoder.Decode(&data))
		return t.Execute(&out, typed(data, "", g.StringMaps))
	}()
	if err != nil {
		c.Error = err.Error()
		return
	}
	text := out.String()
	c.Expected = &text
}

func (a *Alignment) run() {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 10, 1, 3, ' ', 0)
	_, err := w.Write([]byte(a.Text))
	check(err)
	check(w.Flush())
	a.Expected = out.String()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var golden struct {
		Groups     []Group
		Alignments []Alignment
	}
	for _, group := range groups {
		g := Group{Name: group.name, Data: json.RawMessage("null"), MissingKey: group.missingKey, StringMaps: group.stringMaps}
		if group.data != "" {
			g.Data = json.RawMessage(group.data)
		}
		for _, text := range group.templates {
			c := Case{Template: text}
			c.run(g)
			g.Cases = append(g.Cases, c)
		}
		golden.Groups = append(golden.Groups, g)
	}
	for _, text := range alignments {
		a := Alignment{Text: text}
		a.run()
		golden.Alignments = append(golden.Alignments, a)
	}
	// A line for each case, so that changes can be read.
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprint(out, "{\"groups\":[")
	for i, g := range golden.Groups {
		separate(out, i)
		cases := g.Cases
		g.Cases = nil
		fmt.Fprintf(out, "{\"group\":%s,\"cases\":[", line(g))
		for j, c := range cases {
			separate(out, j)
			fmt.Fprint(out, line(c))
		}
		fmt.Fprint(out, "]}")
	}
	fmt.Fprint(out, "],\"alignments\":[")
	for i, a := range golden.Alignments {
		separate(out, i)
		fmt.Fprint(out, line(a))
	}
	fmt.Fprintln(out, "]}")
	check(out.Flush())
}

func separate(out *bufio.Writer, index int) {
	if index > 0 {
		fmt.Fprint(out, ",")
	}
	fmt.Fprintln(out)
}

func line(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	check(encoder.Encode(value))
	return strings.TrimSpace(out.String())
}
