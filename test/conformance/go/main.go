// Makes calls with the official Go core: reads one call per line (JSON), and prints one outcome per line.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"
)

type key struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
	Token  string `json:"token"`
}

type call struct {
	Action   string                 `json:"action"`
	Version  string                 `json:"version"`
	Style    string                 `json:"style"`
	Method   string                 `json:"method"`
	Pathname string                 `json:"pathname"`
	Query    map[string]string      `json:"query"`
	Body     map[string]interface{} `json:"body"`
	Headers  map[string]string      `json:"headers"`
	Key      key                    `json:"key"`
	Host     string                 `json:"host"`
}

type failure struct {
	Kind    string                 `json:"kind"`
	Code    *string                `json:"code"`
	Status  *int                   `json:"status"`
	Message string                 `json:"message"`
	Denied  map[string]interface{} `json:"denied"`
}

type outcome struct {
	Body  interface{} `json:"body,omitempty"`
	Error *failure    `json:"error,omitempty"`
}

func pointers(values map[string]string) map[string]*string {
	made := map[string]*string{}
	for name, value := range values {
		made[name] = dara.String(value)
	}
	return made
}

func (one call) send() (map[string]interface{}, error) {
	config := &openapi.Config{
		AccessKeyId:     dara.String(one.Key.ID),
		AccessKeySecret: dara.String(one.Key.Secret),
		Endpoint:        dara.String(one.Host),
		Protocol:        dara.String("HTTP"),
		RegionId:        dara.String("local"),
	}
	if one.Key.Token != "" {
		config.SecurityToken = dara.String(one.Key.Token)
	}
	client, err := openapi.NewClient(config)
	if err != nil {
		return nil, err
	}
	params := &openapi.Params{
		Action:      dara.String(one.Action),
		Version:     dara.String(one.Version),
		Protocol:    dara.String("HTTP"),
		Pathname:    dara.String(one.Pathname),
		Method:      dara.String(one.Method),
		AuthType:    dara.String("AK"),
		Style:       dara.String(one.Style),
		ReqBodyType: dara.String("json"),
		BodyType:    dara.String("json"),
	}
	request := &openapi.OpenApiRequest{Headers: pointers(one.Headers), Query: pointers(one.Query)}
	if one.Body != nil {
		request.Body = one.Body
	}
	return client.CallApi(params, request, &dara.RuntimeOptions{})
}

// Whatever the core raises, its CallApi hands out as tea.SDKError.
func explain(err error) *failure {
	told := &failure{Kind: fmt.Sprintf("%T", err), Message: err.Error()}
	var known *tea.SDKError
	if errors.As(err, &known) {
		told.Code, told.Status, told.Denied = known.Code, known.StatusCode, known.AccessDeniedDetail
	}
	return told
}

func main() {
	calls := bufio.NewScanner(os.Stdin)
	calls.Buffer(nil, 1<<24)
	answers := json.NewEncoder(os.Stdout)
	for calls.Scan() {
		var one call
		if err := json.Unmarshal(calls.Bytes(), &one); err != nil {
			panic(err)
		}
		result, err := one.send()
		if err != nil {
			answers.Encode(outcome{Error: explain(err)})
		} else {
			answers.Encode(outcome{Body: result["body"]})
		}
	}
}
